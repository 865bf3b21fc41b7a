"""What operators watch: the metrics catalogue, operating events, log set-up."""
