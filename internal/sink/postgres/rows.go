package postgres

import (
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// figuresRow is a row of dora_metrics. What it names itself hides what the figures have by that name and may leave out; from, to and
// primary are words of SQL, and have other names in the table.
type figuresRow struct {
	sink.Figures

	Environment string    `json:"environment"`
	Team        string    `json:"team"`
	Service     string    `json:"service"`
	Day         string    `json:"day"`
	IsPrimary   bool      `json:"is_primary"`
	WindowFrom  time.Time `json:"window_from"`
	WindowTo    time.Time `json:"window_to"`
}

// figureKey tells the rows of dora_metrics apart.
var figureKey = strings.Fields(`cluster target scope environment team service day`)

// figureColumns are the other columns, but for the time that the server sets.
var figureColumns = strings.Fields(`is_primary window_from window_to services deployments deployments_per_week deployments_per_day
	lead_time_p50_seconds lead_time_p90_seconds lead_time_samples lead_time_rejected change_failure_rate failed_attempts attempts
	recovery_p50_seconds recovery_p90_seconds recovery_samples rework_rate unplanned succeeded failed aborted unexposed returned unknown
	incidents open_failures frequency_band lead_time_band change_failure_rate_band recovery_band band`)

// figureRows are the rows of figures, as JSON. Of those for the same row the last stays.
func figureRows(figures []sink.Figures) ([]byte, error) {
	type key struct {
		cluster, target, scope, environment, team, service, day string
	}
	rows := make([]figuresRow, 0, len(figures))
	at := make(map[key]int, len(figures))
	for _, f := range figures {
		row := figuresRow{
			Figures: f, Environment: f.Environment, Team: f.Team, Service: f.Service, Day: f.To.UTC().Format(time.DateOnly),
			IsPrimary: f.Primary, WindowFrom: f.From, WindowTo: f.To,
		}
		k := key{f.Cluster, f.Target, string(f.Scope), f.Environment, f.Team, f.Service, row.Day}
		if earlier, again := at[k]; again {
			rows[earlier] = row
			continue
		}
		at[k] = len(rows)
		rows = append(rows, row)
	}
	return eventtable.Encode(rows)
}

// upsertFigures takes one parameter: rows as JSON. The words in angle brackets are filled in.
const upsertFigures = `
INSERT INTO <table> AS old (<key>, <columns>)
SELECT <key>, <columns> FROM json_populate_recordset(NULL::<table>, $1::json)
ON CONFLICT (<key>) DO UPDATE SET (<columns>, updated_at) = ROW(<excluded>, now())
WHERE (<old>) IS DISTINCT FROM (<excluded>) AND excluded.window_to >= old.window_to`

func figureStatement(schema string) string {
	return eventtable.Fill(upsertFigures, eventtable.Table(schema, "dora_metrics"), strings.Join(figureKey, ", "), figureColumns)
}
