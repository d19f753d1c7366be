-- Grace times are counted by a clock of their own, which goes on while a server
-- runs: it follows the clock of the database, but never by more than the server has
-- run. So a clock that is wrong, at a start too, makes nothing older than it is.

-- +goose Up
CREATE TABLE grace_clock (
    at      BIGINT NOT NULL, -- its time: that of retired_at and doomed_at
    seen_at BIGINT NOT NULL  -- the time by the clock that it follows, when it was last moved on
);
INSERT INTO grace_clock (at, seen_at) SELECT t, t FROM (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS t) now;

-- Objects without a row, as of the last sweeps.
CREATE TABLE orphans (
    object   TEXT   PRIMARY KEY, -- storage key
    found_at BIGINT NOT NULL,    -- by the grace clock
    swept_at BIGINT NOT NULL     -- the last sweep that saw it, by the grace clock
);

-- +goose Down
DROP TABLE orphans;
DROP TABLE grace_clock;
