-- As ../0012_hold.sql.
CREATE TABLE store_hold (
    number BIGINT           NOT NULL PRIMARY KEY,
    id     TEXT COLLATE "C" NOT NULL,
    hold   TEXT COLLATE "C" NOT NULL
);
