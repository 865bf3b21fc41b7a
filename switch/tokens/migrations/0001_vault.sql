-- The vault: tokens, the cards behind them with sealed numbers, and what was done by whom.
-- Times are Unix milliseconds (_ms) or seconds (_s); expiries are YYMM.

CREATE TABLE vault (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id BLOB NOT NULL CHECK (length(id) = 16),
  -- number of the last change; the index is stamped with the change that it shows
  change INTEGER NOT NULL,
  -- the newest link of the audit chain: a chain that was cut at its end is noticed too
  audit_sequence INTEGER NOT NULL,
  audit_hash BLOB NOT NULL
) STRICT;

CREATE TABLE cards (
  id INTEGER PRIMARY KEY,
  -- AES-256-GCM-SIV; row, column and key version are authenticated with it
  pan_sealed BLOB NOT NULL,
  -- HMAC-SHA-256 under a key of the same version
  pan_hash BLOB NOT NULL UNIQUE,
  key_version INTEGER NOT NULL,
  par TEXT,
  created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
  id INTEGER PRIMARY KEY,
  token TEXT NOT NULL,
  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
  token_sequence INTEGER NOT NULL CHECK (token_sequence BETWEEN 0 AND 99),
  token_expiry TEXT NOT NULL,
  requestor TEXT NOT NULL,
  assurance TEXT NOT NULL,
  medium INTEGER NOT NULL,
  requestor_bound INTEGER NOT NULL,
  channels INTEGER NOT NULL,
  mccs TEXT NOT NULL,
  ceiling_minor INTEGER,
  ceiling_currency INTEGER NOT NULL,
  currencies TEXT NOT NULL,
  not_before_s INTEGER NOT NULL,
  not_after_s INTEGER NOT NULL,
  card INTEGER NOT NULL REFERENCES cards (id),
  card_expiry TEXT NOT NULL,
  card_sequence INTEGER,
  mapping_version INTEGER NOT NULL,
  change INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  changed_ms INTEGER NOT NULL
) STRICT;

-- also the order of the index
CREATE UNIQUE INDEX tokens_number ON tokens (length(token), token);
CREATE INDEX tokens_card ON tokens (card);
CREATE INDEX tokens_change ON tokens (change);

-- mappings that were in force before the one in the token's row
CREATE TABLE mappings (
  token INTEGER NOT NULL REFERENCES tokens (id),
  version INTEGER NOT NULL,
  card INTEGER NOT NULL REFERENCES cards (id),
  card_expiry TEXT NOT NULL,
  card_sequence INTEGER,
  until_change INTEGER NOT NULL,
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (token, version)
) STRICT, WITHOUT ROWID;

-- restrictions that were begun: a row that is still here is completed before anything else
CREATE TABLE intents (
  change INTEGER PRIMARY KEY,
  token INTEGER NOT NULL REFERENCES tokens (id),
  action TEXT NOT NULL,
  state INTEGER NOT NULL,
  card INTEGER NOT NULL REFERENCES cards (id),
  card_expiry TEXT NOT NULL,
  card_sequence INTEGER,
  mapping_version INTEGER NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  begun_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  token TEXT NOT NULL,
  reason TEXT NOT NULL,
  outcome TEXT NOT NULL,
  code TEXT NOT NULL,
  change INTEGER NOT NULL,
  detail TEXT NOT NULL,
  hash BLOB NOT NULL
) STRICT;

CREATE TRIGGER audit_stays BEFORE DELETE ON audit
BEGIN
  SELECT RAISE(ABORT, 'audit records are never deleted');
END;

CREATE TRIGGER audit_stands BEFORE UPDATE ON audit
BEGIN
  SELECT RAISE(ABORT, 'audit records are never changed');
END;
