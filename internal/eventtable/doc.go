// Package eventtable is the table delivery_events of a PostgreSQL database, which dashboards and published queries read: its migrations, with
// the views and functions on it, and the statements that write it. The PostgreSQL sink writes it, and so does the ledger that is kept in
// PostgreSQL; both run the same migrations, note them in the same table, and know of each other.
//
// An event has one row, found by its id, in the newest form that arrived. What is written again changes the row only where it says something
// else; a form from before the commits were looked for does not replace one from after. The table may be partitioned by month, or be a
// hypertable: then its key is (id, occurred_at).
package eventtable
