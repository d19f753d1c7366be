-- Gives every upload-time of Python's JSON pages a fraction of six digits: pip 26
-- on Python 3.9 and 3.10 reads fractions of three and of six digits alone, and
-- gives up on all files of a project for one that has two. The pages are rendered
-- again from the rows, some at a time, while the old ones are served.

-- +goose Up
UPDATE entries SET text = convert_to(
        substr(t, 1, at + 18) || '.'
        || rpad(substr(t, at + 20, greatest(0, strpos(substr(t, at), 'Z"') - 21)), 6, '0')
        || substr(t, at + strpos(substr(t, at), 'Z"') - 1), 'UTF8')
FROM (
    SELECT e.package_id AS id, convert_from(e.text, 'UTF8') AS t, strpos(convert_from(e.text, 'UTF8'), '"upload-time":"') + 15 AS at
    FROM entries e JOIN packages p ON p.id = e.package_id
    WHERE e.kind = 'json' AND p.type = 'python') old
WHERE entries.package_id = old.id AND entries.kind = 'json' AND old.at > 15;

INSERT INTO changes (scope_id, kind, created_at)
SELECT s.id, 'rebuild', (extract(epoch FROM now()) * 1000)::BIGINT FROM scopes s
WHERE s.format = 'py' AND s.generation > 0;

-- +goose Down
-- Programs before read fractions of six digits too.
