-- Says that nobody may write but the copy that it names, see package transfer. One row, or
-- none.
CREATE TABLE store_hold (
    number BIGINT NOT NULL PRIMARY KEY,
    id     TEXT   NOT NULL,
    hold   TEXT   NOT NULL
);
