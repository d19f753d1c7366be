-- A scope whose clock was ahead once, and later behind, has generations that are
-- later than the live one: latest_at is the last of them, and says nothing of the
-- one that clients have.

-- +goose Up
ALTER TABLE scopes ADD COLUMN newer_at BIGINT NOT NULL DEFAULT 0; -- the next time above published_at that an earlier generation had; 0 for none

-- +goose Down
ALTER TABLE scopes DROP COLUMN newer_at;
