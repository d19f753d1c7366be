-- Servers record with which settings they run, for commands that are run without
-- them. Looking for what waits to be published follows the scopes that have
-- something waiting, and not all that waits in them.

-- +goose Up
CREATE TABLE servers (
    host           TEXT    PRIMARY KEY, -- the name of the machine
    external_url   TEXT    NOT NULL,
    listen_address TEXT    NOT NULL,
    tls            BOOLEAN NOT NULL,
    started_at     BIGINT  NOT NULL
);
DROP INDEX changes_scope;
CREATE INDEX changes_scope ON changes (scope_id, id);
CREATE INDEX changes_kind ON changes (scope_id, kind);

-- +goose Down
DROP INDEX changes_kind;
DROP INDEX changes_scope;
CREATE INDEX changes_scope ON changes (scope_id);
DROP TABLE servers;
