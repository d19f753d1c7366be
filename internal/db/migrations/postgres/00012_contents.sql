-- A repository may choose that its indexes tell which files its packages install.
-- The packages whose files are to be read for that wait in a table.

-- +goose Up
ALTER TABLE repositories ADD COLUMN contents BOOLEAN NOT NULL DEFAULT FALSE;
CREATE TABLE unread_contents (
    package_id BIGINT PRIMARY KEY REFERENCES packages (id) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE unread_contents;
DELETE FROM changes WHERE kind = 'contents';
ALTER TABLE repositories DROP COLUMN contents;
