-- What a pairwise meta-judge answered: the log-odds that the candidate shown first (idx) is the better
-- critique against the one shown second; null where there was no answer. key: as of meta_scores.
CREATE TABLE meta_comparisons (
    key        TEXT NOT NULL,
    pair_id    TEXT NOT NULL,
    side       TEXT NOT NULL CHECK (side IN ('chosen', 'rejected')),
    idx        INTEGER NOT NULL,
    second_idx INTEGER NOT NULL,
    log_odds   ANY CHECK (typeof(log_odds) IN ('real', 'null')),
    PRIMARY KEY (key, pair_id, side, idx, second_idx)
) STRICT;
