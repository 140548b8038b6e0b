-- Numbers are ANY, checked to be real: a REAL column would turn -0.0 into 0.

-- The prompt is a JSON list of {"role", "content"}; seq is the order in which pairs came in.
CREATE TABLE pairs (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    split    TEXT NOT NULL,
    pair_id  TEXT NOT NULL,
    prompt   TEXT NOT NULL,
    chosen   TEXT NOT NULL,
    rejected TEXT NOT NULL,
    margin   ANY CHECK (typeof(margin) IN ('real', 'null')),
    domain   TEXT,
    subset   TEXT,
    UNIQUE (split, pair_id)
) STRICT;
CREATE INDEX pairs_by_id ON pairs (pair_id);

-- A stage is done for the digest of its inputs and settings; the summary is JSON.
CREATE TABLE stages (
    stage   TEXT NOT NULL,
    inputs  TEXT NOT NULL,
    summary TEXT NOT NULL,
    PRIMARY KEY (stage, inputs)
) STRICT;

CREATE TABLE failures (
    stage  TEXT NOT NULL,
    key    TEXT NOT NULL,
    item   TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (stage, key, item)
) STRICT;

-- key: model, prompts, sampling, seed and number of candidates.
CREATE TABLE candidates (
    key            TEXT NOT NULL,
    pair_id        TEXT NOT NULL,
    side           TEXT NOT NULL CHECK (side IN ('chosen', 'rejected')),
    idx            INTEGER NOT NULL,
    text           TEXT NOT NULL,
    parsed_score   ANY CHECK (typeof(parsed_score) IN ('real', 'null')),
    expected_score ANY CHECK (typeof(expected_score) IN ('real', 'null')),
    verdict        ANY CHECK (typeof(verdict) IN ('real', 'null')),
    finish_reason  TEXT NOT NULL,
    n_tokens       INTEGER NOT NULL,
    provenance     TEXT NOT NULL,
    PRIMARY KEY (key, pair_id, side, idx)
) STRICT;

-- What training sees; key: the refinement and everything before it.
CREATE TABLE critiques (
    key            TEXT NOT NULL,
    pair_id        TEXT NOT NULL,
    side           TEXT NOT NULL CHECK (side IN ('chosen', 'rejected')),
    idx            INTEGER NOT NULL,
    text           TEXT NOT NULL,
    parsed_score   ANY CHECK (typeof(parsed_score) IN ('real', 'null')),
    expected_score ANY CHECK (typeof(expected_score) IN ('real', 'null')),
    verdict        ANY CHECK (typeof(verdict) IN ('real', 'null')),
    finish_reason  TEXT NOT NULL,
    n_tokens       INTEGER NOT NULL,
    provenance     TEXT NOT NULL,
    PRIMARY KEY (key, pair_id, side, idx)
) STRICT;

-- key: the filter's rule and the candidates it saw.
CREATE TABLE filter_verdicts (
    key     TEXT NOT NULL,
    pair_id TEXT NOT NULL,
    side    TEXT NOT NULL CHECK (side IN ('chosen', 'rejected')),
    idx     INTEGER NOT NULL,
    kept    INTEGER NOT NULL CHECK (kept IN (0, 1)),
    reason  TEXT,
    PRIMARY KEY (key, pair_id, side, idx)
) STRICT;

CREATE TABLE meta_scores (
    key     TEXT NOT NULL,
    pair_id TEXT NOT NULL,
    side    TEXT NOT NULL CHECK (side IN ('chosen', 'rejected')),
    idx     INTEGER NOT NULL,
    score   ANY NOT NULL CHECK (typeof(score) = 'real'),
    PRIMARY KEY (key, pair_id, side, idx)
) STRICT;

-- key: the contestant (checkpoint and way of scoring) and the set.
CREATE TABLE predictions (
    key              TEXT NOT NULL,
    pair_id          TEXT NOT NULL,
    side             TEXT NOT NULL CHECK (side IN ('chosen', 'rejected')),
    mean             ANY NOT NULL CHECK (typeof(mean) = 'real'),
    std              ANY CHECK (typeof(std) IN ('real', 'null')),
    without_critique ANY CHECK (typeof(without_critique) IN ('real', 'null')),
    n_failed         INTEGER NOT NULL,
    PRIMARY KEY (key, pair_id, side)
) STRICT;

CREATE TABLE prediction_critiques (
    key           TEXT NOT NULL,
    pair_id       TEXT NOT NULL,
    side          TEXT NOT NULL,
    idx           INTEGER NOT NULL,
    text          TEXT NOT NULL,
    reward        ANY NOT NULL CHECK (typeof(reward) = 'real'),
    finish_reason TEXT NOT NULL,
    n_tokens      INTEGER NOT NULL,
    PRIMARY KEY (key, pair_id, side, idx),
    FOREIGN KEY (key, pair_id, side) REFERENCES predictions
) STRICT;
