-- Gives every upload-time of Python's JSON pages a fraction of six digits: pip 26
-- on Python 3.9 and 3.10 reads fractions of three and of six digits alone, and
-- gives up on all files of a project for one that has two. The pages are rendered
-- again from the rows, some at a time, while the old ones are served.

-- +goose Up
UPDATE entries SET text = (
    SELECT CAST(substr(t, 1, at + 18) || '.'
        || substr(substr(t, at + 20, max(0, instr(substr(t, at), 'Z"') - 21)) || '000000', 1, 6)
        || substr(t, at + instr(substr(t, at), 'Z"') - 1) AS BLOB)
    FROM (SELECT CAST(entries.text AS TEXT) AS t, instr(CAST(entries.text AS TEXT), '"upload-time":"') + 15 AS at))
WHERE kind = 'json' AND package_id IN (SELECT id FROM packages WHERE type = 'python')
    AND instr(CAST(text AS TEXT), '"upload-time":"') > 0;

INSERT INTO changes (scope_id, kind, created_at)
SELECT s.id, 'rebuild', CAST(strftime('%s', 'now') AS INTEGER) * 1000 FROM scopes s
WHERE s.format = 'py' AND s.generation > 0;

-- +goose Down
-- Programs before read fractions of six digits too.
