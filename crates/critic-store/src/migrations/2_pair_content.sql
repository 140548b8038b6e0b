-- What is about a response says which pair it is a response of, by the address of what the pair says: an
-- id alone would let other data meet old results. '' where the id names several pairs, or none.
-- temp.pair_contents (pair_id, pair_content) holds the pairs whose id names one pair alone.

ALTER TABLE candidates RENAME TO old_candidates;
CREATE TABLE candidates (
    key            TEXT NOT NULL,
    pair_id        TEXT NOT NULL,
    pair_content   TEXT NOT NULL,
    side           TEXT NOT NULL CHECK (side IN ('chosen', 'rejected')),
    idx            INTEGER NOT NULL,
    text           TEXT NOT NULL,
    parsed_score   ANY CHECK (typeof(parsed_score) IN ('real', 'null')),
    expected_score ANY CHECK (typeof(expected_score) IN ('real', 'null')),
    verdict        ANY CHECK (typeof(verdict) IN ('real', 'null')),
    finish_reason  TEXT NOT NULL,
    n_tokens       INTEGER NOT NULL,
    provenance     TEXT NOT NULL,
    PRIMARY KEY (key, pair_id, pair_content, side, idx)
) STRICT;
INSERT INTO candidates
    SELECT key, pair_id, coalesce(pair_content, ''), side, idx, text, parsed_score, expected_score,
           verdict, finish_reason, n_tokens, provenance
    FROM old_candidates LEFT JOIN temp.pair_contents USING (pair_id);
DROP TABLE old_candidates;

ALTER TABLE critiques RENAME TO old_critiques;
CREATE TABLE critiques (
    key            TEXT NOT NULL,
    pair_id        TEXT NOT NULL,
    pair_content   TEXT NOT NULL,
    side           TEXT NOT NULL CHECK (side IN ('chosen', 'rejected')),
    idx            INTEGER NOT NULL,
    text           TEXT NOT NULL,
    parsed_score   ANY CHECK (typeof(parsed_score) IN ('real', 'null')),
    expected_score ANY CHECK (typeof(expected_score) IN ('real', 'null')),
    verdict        ANY CHECK (typeof(verdict) IN ('real', 'null')),
    finish_reason  TEXT NOT NULL,
    n_tokens       INTEGER NOT NULL,
    provenance     TEXT NOT NULL,
    PRIMARY KEY (key, pair_id, pair_content, side, idx)
) STRICT;
INSERT INTO critiques
    SELECT key, pair_id, coalesce(pair_content, ''), side, idx, text, parsed_score, expected_score,
           verdict, finish_reason, n_tokens, provenance
    FROM old_critiques LEFT JOIN temp.pair_contents USING (pair_id);
DROP TABLE old_critiques;

ALTER TABLE predictions RENAME TO old_predictions;
ALTER TABLE prediction_critiques RENAME TO old_prediction_critiques;
CREATE TABLE predictions (
    key              TEXT NOT NULL,
    pair_id          TEXT NOT NULL,
    pair_content     TEXT NOT NULL,
    side             TEXT NOT NULL CHECK (side IN ('chosen', 'rejected')),
    mean             ANY NOT NULL CHECK (typeof(mean) = 'real'),
    std              ANY CHECK (typeof(std) IN ('real', 'null')),
    without_critique ANY CHECK (typeof(without_critique) IN ('real', 'null')),
    n_failed         INTEGER NOT NULL,
    PRIMARY KEY (key, pair_id, pair_content, side)
) STRICT;
INSERT INTO predictions
    SELECT key, pair_id, coalesce(pair_content, ''), side, mean, std, without_critique, n_failed
    FROM old_predictions LEFT JOIN temp.pair_contents USING (pair_id);
CREATE TABLE prediction_critiques (
    key           TEXT NOT NULL,
    pair_id       TEXT NOT NULL,
    pair_content  TEXT NOT NULL,
    side          TEXT NOT NULL,
    idx           INTEGER NOT NULL,
    text          TEXT NOT NULL,
    reward        ANY NOT NULL CHECK (typeof(reward) = 'real'),
    finish_reason TEXT NOT NULL,
    n_tokens      INTEGER NOT NULL,
    PRIMARY KEY (key, pair_id, pair_content, side, idx),
    FOREIGN KEY (key, pair_id, pair_content, side) REFERENCES predictions
) STRICT;
INSERT INTO prediction_critiques
    SELECT key, pair_id, coalesce(pair_content, ''), side, idx, text, reward, finish_reason, n_tokens
    FROM old_prediction_critiques LEFT JOIN temp.pair_contents USING (pair_id);
DROP TABLE old_prediction_critiques;
DROP TABLE old_predictions;
