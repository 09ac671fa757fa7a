package dashboards

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// view is what somebody looks at: a time range, and a choice for each variable.
type view struct {
	from, to time.Time
	interval string
	chosen   map[string][]string
}

var (
	// Arguments of macros end at the first bracket, as Grafana reads them.
	macro     = regexp.MustCompile(`\$__([a-zA-Z]+)\(([^)]*)\)`)
	reference = regexp.MustCompile(`\$\{([a-z]+):sqlstring\}`)
	leftover  = regexp.MustCompile(`\$(\{|__|[a-zA-Z])`)
)

// expand makes of a panel's SQL what Grafana sends: variables first, then the interval, then macros.
func (v view) expand(t *testing.T, statement string) string {
	t.Helper()
	statement = reference.ReplaceAllStringFunc(statement, func(found string) string {
		name := reference.FindStringSubmatch(found)[1]
		values, known := v.chosen[name]
		if !known {
			t.Fatalf("there is no variable %s", name)
		}
		var quoted []string
		for _, value := range values {
			quoted = append(quoted, "'"+strings.ReplaceAll(value, "'", "''")+"'")
		}
		return strings.Join(quoted, ",")
	})
	statement = strings.ReplaceAll(statement, "$__interval", v.interval)
	statement = macro.ReplaceAllStringFunc(statement, func(found string) string {
		parts := macro.FindStringSubmatch(found)
		return v.evaluate(t, parts[1], strings.Split(parts[2], ","))
	})
	if left := leftover.FindString(statement); left != "" {
		t.Fatalf("Grafana knows no %s… in\n%s", left, statement)
	}
	return statement
}

func (v view) evaluate(t *testing.T, name string, args []string) string {
	t.Helper()
	from, to := "'"+v.from.Format(time.RFC3339Nano)+"'", "'"+v.to.Format(time.RFC3339Nano)+"'"
	switch name {
	case "timeFrom":
		return from
	case "timeTo":
		return to
	case "timeFilter":
		return fmt.Sprintf("%s BETWEEN %s AND %s", args[0], from, to)
	case "timeGroupAlias":
		days, err := strconv.Atoi(strings.TrimSuffix(strings.Trim(args[1], " '"), "d"))
		if err != nil {
			t.Fatalf("intervals of these tests are days: %v", err)
		}
		seconds := days * 24 * 60 * 60
		return fmt.Sprintf(`floor(extract(epoch from %s)/%v)*%v AS "time"`, args[0], seconds, seconds)
	}
	t.Fatalf("there is no macro $__%s in these dashboards yet", name)
	return ""
}

// answer is a table as a panel gets it: the names of its columns, and its rows as text.
type answer struct {
	columns []string
	rows    []string
}

// query runs a statement as the data source does.
func query(t *testing.T, conn *pgx.Conn, statement string) answer {
	t.Helper()
	rows, err := conn.Query(t.Context(), statement)
	if err != nil {
		t.Fatalf("%v\n%s", err, statement)
	}
	defer rows.Close()
	var a answer
	for _, column := range rows.FieldDescriptions() {
		a.columns = append(a.columns, column.Name)
	}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			t.Fatalf("%v\n%s", err, statement)
		}
		cells := make([]string, len(values))
		for i, value := range values {
			cells[i] = cell(t, a.columns[i], value)
		}
		a.rows = append(a.rows, strings.Join(cells, " | "))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%v\n%s", err, statement)
	}
	return a
}

// cell is a value as these tests write it: – is NULL, and numbers have six digits.
func cell(t *testing.T, column string, value any) string {
	t.Helper()
	if numeric, ok := value.(pgtype.Numeric); ok {
		float, err := numeric.Float64Value()
		if err != nil {
			t.Fatal(err)
		}
		value = float.Float64
	}
	switch value := value.(type) {
	case nil:
		return "–"
	case time.Time:
		return value.UTC().Format("2006-01-02 15:04")
	case float64:
		if column == "time" {
			return time.Unix(int64(value), 0).UTC().Format("2006-01-02 15:04")
		}
		return strconv.FormatFloat(value, 'g', 6, 64)
	case driver.Valuer:
		t.Fatalf("%s has a type that these tests do not know: %T", column, value)
	}
	return fmt.Sprint(value)
}

// choose fills in the variables in their order, as Grafana does when a dashboard is opened. What is not chosen is all that the variable offers.
func choose(t *testing.T, conn *pgx.Conn, d *dashboard, chosen map[string][]string) view {
	t.Helper()
	v := view{from: november(1, 0, 0), to: november(31, 0, 0), interval: "1d", chosen: map[string][]string{}}
	for _, variable := range d.Templating.List {
		switch {
		case chosen[variable.Name] != nil:
			v.chosen[variable.Name] = chosen[variable.Name]
		case variable.Type == "query":
			v.chosen[variable.Name] = v.offers(t, conn, variable)
		case variable.Type == "custom":
			v.chosen[variable.Name] = current(variable)
		}
	}
	return v
}

func (v view) offers(t *testing.T, conn *pgx.Conn, variable variable) []string {
	t.Helper()
	var statement string
	if err := json.Unmarshal(variable.Query, &statement); err != nil {
		t.Fatalf("%s: %v", variable.Name, err)
	}
	if statement != variable.Definition {
		t.Fatalf("%s is defined as one query and runs another", variable.Name)
	}
	return query(t, conn, v.expand(t, statement)).rows
}

// current is what is chosen at first.
func current(variable variable) []string {
	if one, ok := variable.Current.Value.(string); ok {
		return []string{one}
	}
	var values []string
	for _, value := range variable.Current.Value.([]any) {
		values = append(values, fmt.Sprint(value))
	}
	return values
}

// readOnly makes every statement fail that changes anything: dashboards only read.
func readOnly(ctx context.Context, t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if _, err := conn.Exec(ctx, "SET default_transaction_read_only = on"); err != nil {
		t.Fatal(err)
	}
}

func sorted(rows []string) []string { return slices.Sorted(slices.Values(rows)) }
