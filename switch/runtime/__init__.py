"""The I/O shell: the only room with loop, sockets and clock."""
