package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// database is a database of a test with the tables in it. A trigger notes each row that is written, also one that is there already.
type database struct {
	tb      testing.TB
	server  *postgrestest.Server
	options postgres.Options
}

func newDatabase(tb testing.TB) *database {
	tb.Helper()
	server := postgrestest.Start(tb)
	made := server.Database(tb)
	d := &database{tb, server, postgres.Options{
		Name: sinkName, Cluster: "eu-1", Host: made.Host, Port: made.Port, Database: made.Name, User: made.User, Password: made.Password,
		Schema: "dora", CA: server.CA, Migrate: true, Guard: here,
	}}
	s, err := postgres.New(d.options)
	NewWithT(tb).Expect(err).NotTo(HaveOccurred())
	defer s.Close()
	NewWithT(tb).Expect(s.Check(tb.Context())).To(Succeed())
	return d
}

// exec runs statements as the superuser.
func (d *database) exec(statements ...string) {
	d.tb.Helper()
	conn := d.server.Connect(d.tb, d.options.Database)
	for _, statement := range statements {
		postgrestest.Exec(d.tb, conn, statement)
	}
}

// watch notes each row that is written, in the transaction that writes it, and refuses those that are unwanted.
func (d *database) watch() {
	d.tb.Helper()
	d.exec(
		`CREATE TABLE arrivals (n bigserial PRIMARY KEY, id text NOT NULL)`,
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
			$$ BEGIN INSERT INTO public.arrivals (id) VALUES (NEW.id); RETURN NEW; END $$`,
		`CREATE TRIGGER note BEFORE INSERT ON dora.delivery_events FOR EACH ROW EXECUTE FUNCTION note()`,
		`ALTER TABLE dora.delivery_events ADD CONSTRAINT wanted CHECK (id NOT LIKE '`+unwanted+`%')`,
	)
}

func (d *database) arrived() []string {
	d.tb.Helper()
	rows, err := d.server.Connect(d.tb, d.options.Database).Query(context.Background(), "SELECT id FROM arrivals ORDER BY n")
	NewWithT(d.tb).Expect(err).NotTo(HaveOccurred())
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	NewWithT(d.tb).Expect(err).NotTo(HaveOccurred())
	return ids
}

// held are the rows, by their payload and the columns that are found out late.
func (d *database) held() map[string]string {
	d.tb.Helper()
	rows, err := d.server.Connect(d.tb, d.options.Database).Query(context.Background(),
		"SELECT id, payload, coalesce(commit_sha, ''), coalesce(commit_count, -1), coalesce(lead_time_unknown, '') FROM dora.delivery_events")
	NewWithT(d.tb).Expect(err).NotTo(HaveOccurred())
	held := map[string]string{}
	for rows.Next() {
		var id, commit, unknown string
		var payload []byte
		var commits int
		NewWithT(d.tb).Expect(rows.Scan(&id, &payload, &commit, &commits, &unknown)).To(Succeed())
		var event dora.Event
		NewWithT(d.tb).Expect(json.Unmarshal(payload, &event)).To(Succeed())
		held[id] = rowOf(event, commit, commits, unknown)
	}
	NewWithT(d.tb).Expect(rows.Err()).NotTo(HaveOccurred())
	return held
}

func rowOf(event dora.Event, commit string, commits int, unknown string) string {
	payload, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%s %s %d %s", payload, commit, commits, unknown)
}

// formOfRow is what the row of an event should hold.
func formOfRow(event dora.Event) string {
	commit, commits := "", -1
	if event.Version != nil {
		commit = event.Version.Commit
	}
	if event.CommitCount != nil {
		commits = *event.CommitCount
	}
	return rowOf(event, commit, commits, event.LeadTimeUnknown)
}

func byService(event dora.Event) string { return event.Service }

// terminate ends the sessions of the sink, as an administrator does.
func (d *database) terminate() {
	d.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '` + d.options.User + `'`)
}

func (d *database) troubles() []trouble {
	return []trouble{
		{"nothing", func(*rand.Rand) func() { return func() {} }},
		{"it is a standby for a while", func(*rand.Rand) func() {
			d.server.ReadOnly(d.tb, true)
			return func() { d.server.ReadOnly(d.tb, false) }
		}},
		{"an administrator ends its sessions", func(*rand.Rand) func() {
			d.terminate()
			return d.terminate
		}},
		{"too many connections", func(*rand.Rand) func() {
			d.exec(`ALTER ROLE ` + d.options.User + ` CONNECTION LIMIT 0`)
			d.terminate()
			return func() { d.exec(`ALTER ROLE ` + d.options.User + ` CONNECTION LIMIT -1`) }
		}},
		{"it may not write", func(*rand.Rand) func() {
			d.exec(`ALTER TABLE dora.delivery_events OWNER TO postgres`)
			return func() { d.exec(`ALTER TABLE dora.delivery_events OWNER TO ` + d.options.User) }
		}},
		{"it crashes", func(*rand.Rand) func() {
			d.server.Crash(d.tb)
			return func() { d.server.Start(d.tb) }
		}},
	}
}

func postgresDestination(t *testing.T, _ *clock) *destination {
	t.Helper()
	d := newDatabase(t)
	d.watch()
	p := before(t, fmt.Sprintf("%s:%d", d.options.Host, d.options.Port))
	through := d.options
	through.Port = p.port()
	changes := 0
	return &destination{
		proxy: p,
		connect: func() sink.Sink {
			s, err := postgres.New(through)
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			return s
		},
		troubles: d.troubles(),
		rotate: func() {
			changes++
			through.Password = sinktest.Secret(fmt.Sprintf("new-%d", changes))
			d.exec(fmt.Sprintf(`ALTER ROLE %s PASSWORD '%s'`, d.options.User, through.Password))
		},
		arrived: d.arrived, held: d.held, form: formOfRow, stream: byService,
	}
}
