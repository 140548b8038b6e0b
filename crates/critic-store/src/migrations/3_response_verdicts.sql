-- What the critic thinks of a response before it has written a critique; key: model and prompts. The verdict
-- is null where the critic gave no probabilities.
CREATE TABLE response_verdicts (
    key          TEXT NOT NULL,
    pair_id      TEXT NOT NULL,
    pair_content TEXT NOT NULL,
    side         TEXT NOT NULL CHECK (side IN ('chosen', 'rejected')),
    verdict      ANY CHECK (typeof(verdict) IN ('real', 'null')),
    PRIMARY KEY (key, pair_id, pair_content, side)
) STRICT;
