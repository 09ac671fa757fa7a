package dashboards

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

const folder = "../../charts/dora-controller/dashboards"

// dashboard is Grafana's classic JSON model, as far as it is looked at.
type dashboard struct {
	ID            *int     `json:"id"`
	UID           string   `json:"uid"`
	Title         string   `json:"title"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	SchemaVersion int      `json:"schemaVersion"`
	Panels        []panel  `json:"panels"`
	Templating    struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []annotation `json:"list"`
	} `json:"annotations"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	GridPos     struct {
		X int `json:"x"`
		Y int `json:"y"`
		W int `json:"w"`
		H int `json:"h"`
	} `json:"gridPos"`
	Targets  []target `json:"targets"`
	Interval string   `json:"interval"`
}

type target struct {
	RefID        string     `json:"refId"`
	Datasource   datasource `json:"datasource"`
	RawSQL       string     `json:"rawSql"`
	RawQuery     bool       `json:"rawQuery"`
	EditorMode   string     `json:"editorMode"`
	Format       string     `json:"format"`
	Expr         string     `json:"expr"`
	LegendFormat string     `json:"legendFormat"`
}

type variable struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	Label       string          `json:"label"`
	Description string          `json:"description"`
	Datasource  datasource      `json:"datasource"`
	Definition  string          `json:"definition"`
	Query       json.RawMessage `json:"query"`
	Multi       bool            `json:"multi"`
	IncludeAll  bool            `json:"includeAll"`
	Current     struct {
		Value any `json:"value"`
	} `json:"current"`
}

type annotation struct {
	Name       string     `json:"name"`
	Datasource datasource `json:"datasource"`
	Target     target     `json:"target"`
}

const (
	postgresType   = "grafana-postgresql-datasource"
	prometheusType = "prometheus"
)

// kind is the type of the data sources of a dashboard.
func (d *dashboard) kind() string {
	if d.UID == "dora-controller" {
		return prometheusType
	}
	return postgresType
}

// rows are what shows nothing but a title.
func (p *panel) isRow() bool { return p.Type == "row" }

func dashboards(t *testing.T) map[string]*dashboard {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no dashboards in %s (%v)", folder, err)
	}
	all := map[string]*dashboard{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d := &dashboard{}
		if err := json.Unmarshal(data, d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[filepath.Base(path)] = d
	}
	return all
}
