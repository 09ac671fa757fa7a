-- Events of a fourth type: changes of code. A CHECK says nothing about what is on disk, so the text of the table's definition is written anew,
-- as SQLite documents for such changes (https://sqlite.org/lang_altertable.html#otheralter), instead of copying every row and index. The table that
-- comes and goes lets other connections notice.

-- +goose Up

PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = replace(sql, '''degraded'', ''recovered'')', '''degraded'', ''recovered'', ''change'')')
WHERE type = 'table' AND name = 'events';

CREATE TABLE noticed (id INTEGER PRIMARY KEY) STRICT;
DROP TABLE noticed;

PRAGMA writable_schema = RESET;
