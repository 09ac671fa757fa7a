package postgres

import (
	"embed"
	"io/fs"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Migrations are the steps that make the schema, as goose reads them. Their names have no schema: whoever runs them sets search_path.
func Migrations() fs.FS {
	steps, err := fs.Sub(embedded, "migrations")
	if err != nil { // only for a name that is no path
		return embedded
	}
	return steps
}
