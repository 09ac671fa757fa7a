// Package port writes to Port, the developer portal: an entity for each deployment and each failure of production, and the figures of services and
// teams onto the entities that the portal has of them.
//
// # Guarantees
//
//   - An event is one entity, however often it comes: its identifier is the event's id, or the failure's id, which the two events of a failure
//     share. Entities are merged, so what somebody else wrote onto one stays, and an event that comes again with more in it
//     completes its entity. A degraded event that comes again does not open an incident anew that has ended.
//   - Entities that are related to something else are never created for the sake of the relation, and figures create nothing at all.
//   - A blueprint is read before it is written to. It has to have the properties that Port's guide has, and the relations that the sink is told
//     to fill; while it has not, nothing is sent and nothing is lost (BlueprintMissing). Of all others, what it has no place for is left out,
//     and so is what the portal computes by itself, such as leadTimeHours where that mirrors the pull request's.
//   - What Port refuses is set aside; what only a proxy before it refuses is sent again. Which of many entities Port refused is told by index.
//     A call that is refused as a whole is halved until it is clear which entity was meant.
//   - A service that the portal does not have loses no deployment. Port refuses an entity that is related to nothing it knows, so that one is
//     sent once more within the same attempt without its pull request (or its deployment), and then without its service: it
//     keeps its serviceName, the answer counts it, and the next time the event is sent the relation is tried again. To wait for the service
//     instead would hold up all later events of it, perhaps for ever, since nobody but the portal's owners can create it.
//   - No secret, and no token, is in an error or an answer, even if Port repeats it.
//
// # Deployments
//
// deploymentStatus says how the attempt ended. An attempt that was itself stopped and taken back (rolled_back, success false) is Failed; an
// operation that brought an earlier version back and succeeded in that (rolled_back, success true) is Succeeded, with isRollback true. A
// deployment of unknown outcome has no deploymentStatus, so that it counts in no figure that Port computes. The pull request is related by the
// property mergeCommitSha, once the full commit of the version is known.
//
// # Figures
//
// They are those of the environment that is chosen, of figures that no other target counts (Primary). What is not known is null.
//
//	property                          unit                  is
//	deployment_frequency              per week              of the service; of a team, of all its services together
//	deployment_frequency_per_service  per week and service  of a team: what its tier is judged by
//	lead_time_for_changes             hours                 the median
//	change_failure_rate               percent, 0 to 100     failed attempts of all
//	mean_time_to_recovery             minutes               the median, whatever the name says
//	total_deployments                 number                those that succeeded, in the window
//	services_count                    number                of a team
//	services_elite, ..., services_low number                of a team, whose lowest band that is
//	worst_services                    names                 of a team, below Elite
//	..._trend                         Better, Same, Worse   of each of the four metrics of a team, against the window before
//	rework_rate                       percent, 0 to 100     unplanned deployments of all; not in Port's guides
//	..._tier                          Elite to Low          of each of the four metrics; of this controller's own bands
//
// The names follow Port's guides "Track DORA metrics" (docs.port.io/guides/all/setup-dora-metrics) and "Set up DORA scorecards"
// (setup-dora-scorecards), as far as they could be read; editions of them differ. The units are those that the scorecard of Port's "DORA
// metrics benchmark" compares with: 7 a week, 24 hours, 5 percent and 60 minutes are Elite there. recoveryTime of an incident is in
// minutes, as in the first guide.
package port

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// Blueprints are the identifiers of the portal's blueprints. One that is empty is left out.
type Blueprints struct {
	Deployment, Service, Team, Incident, PullRequest string
}

// The properties that every entity has.
const (
	byIdentifier = "$identifier"
	byTitle      = "$title"
)

// Options are what a sink needs to know.
type Options struct {
	Name    string // of the sink
	Version string // of this build, for the User-Agent
	Cluster string // that this controller watches, for the User-Agent
	BaseURL string // such as https://api.port.io

	ClientID, ClientSecret string // of a machine credential

	CA    []byte // certificates to trust beside the system's, in PEM form; nil is none
	Guard egress.Guard

	Blueprints Blueprints
	// ServiceBy and TeamBy are the properties by which services and teams are found: $identifier, which is the default, $title, or the
	// name of one.
	ServiceBy, TeamBy string
	// Environments says what an environment is called in the portal. For those without an entry see DefaultEnvironment.
	Environments map[string]string
	// MetricsEnvironment is the environment whose figures are sent; production by default. All that the portal calls by the same
	// name are meant, unless Environments has an entry for it.
	MetricsEnvironment string
	// Succeeded and Failed are the values of deploymentStatus; Success and Failed by default.
	Succeeded, Failed string

	Now func() time.Time // nil is the system's clock
}

// Sink writes events and figures to a portal.
type Sink struct {
	o       Options
	client  *Client
	schemas *schemas
}

var (
	_ sink.Measured = (*Sink)(nil)
	_ sink.Checked  = (*Sink)(nil)
)

// New makes a sink. It connects to nothing yet.
func New(o Options) (*Sink, error) {
	o.ServiceBy, o.TeamBy = cmp.Or(o.ServiceBy, byIdentifier), cmp.Or(o.TeamBy, byIdentifier)
	o.MetricsEnvironment = cmp.Or(o.MetricsEnvironment, "production")
	o.Succeeded, o.Failed = cmp.Or(o.Succeeded, "Success"), cmp.Or(o.Failed, "Failed")
	o.Environments = maps.Clone(o.Environments)
	client, err := NewClient(ClientOptions{
		Version: o.Version, Cluster: o.Cluster, BaseURL: o.BaseURL, ClientID: o.ClientID, ClientSecret: o.ClientSecret,
		CA: o.CA, Guard: o.Guard, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	return &Sink{o: o, client: client, schemas: &schemas{client: client, read: map[string]schema{}}}, nil
}

// Name implements sink.Sink.
func (s *Sink) Name() string { return s.o.Name }

// Batch implements sink.Sink. Port takes no more entities at once.
func (s *Sink) Batch() int { return maxEntities }

// DefaultEnvironment is what an environment is called in Port's guides; others keep their name.
func DefaultEnvironment(name string) string {
	switch strings.ToLower(name) {
	case "production", "prod":
		return "Production"
	case "staging", "stage":
		return "Staging"
	case "test", "testing", "dev", "development":
		return "Testing"
	}
	return name
}

func (s *Sink) environment(name string) string {
	if mapped, ok := s.o.Environments[name]; ok {
		return mapped
	}
	return DefaultEnvironment(name)
}

// Send implements sink.Sink.
func (s *Sink) Send(ctx context.Context, events []dora.Event) (answer string, err error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("cannot send: %w", err)
	}
	if len(events) == 0 {
		return "", nil
	}
	var sorted struct{ deployments, incidents []dora.Event }
	var told report
	for _, event := range events {
		switch deploy := event.Type == dora.TypeDeploy; {
		case deploy && s.o.Blueprints.Deployment != "":
			sorted.deployments = append(sorted.deployments, event)
		case event.FailureID != "" && s.o.Blueprints.Incident != "":
			sorted.incidents = append(sorted.incidents, event)
		default:
			told.leftOut++
		}
	}
	deployments, err := s.sendDeployments(ctx, sorted.deployments)
	if err != nil {
		return "", whole(events, failures(deployments, events, err))
	}
	failed := failures(deployments, nil, nil)
	ready := delay(sorted.incidents, failed)
	incidents, err := s.sendIncidents(ctx, ready)
	maps.Copy(failed, failures(incidents, ready, err))
	told.deployments, told.incidents, told.loose = done(deployments), done(incidents), loose(deployments)+loose(incidents)
	return told.String(), whole(events, failed)
}

// delay leaves of incidents those whose deployment has to be sent again, which fail with it: an incident that is there before its
// deployment would stay without.
func delay(incidents []dora.Event, failed map[string]error) []dora.Event {
	late := map[string]error{}
	ready := slices.DeleteFunc(slices.Clone(incidents), func(event dora.Event) bool {
		err := failed[event.CausedBy]
		if err == nil || sink.IsPermanent(err) {
			return false
		}
		late[event.ID] = err
		return true
	})
	maps.Copy(failed, late)
	return ready
}

// failures are the errors of events, by their ids; err is that of those that nothing is said of.
func failures(items []*item, events []dora.Event, err error) map[string]error {
	failed := map[string]error{}
	if err != nil {
		for _, event := range events {
			failed[event.ID] = err
		}
	}
	for _, item := range items {
		for _, id := range item.events {
			delete(failed, id)
			if item.err != nil {
				failed[id] = item.err
			}
		}
	}
	return failed
}

// whole is the error of a batch: if all failed for the same reason it is theirs.
func whole(events []dora.Event, failed map[string]error) error {
	if len(failed) == 0 {
		return nil
	}
	first := failed[events[0].ID]
	for _, event := range events {
		if first == nil || failed[event.ID] != first { //nolint:errorlint // the same error, and not one that is like it
			return &sink.PartialError{Failed: failed}
		}
	}
	return first
}

// report is what became of a batch.
type report struct{ deployments, incidents, loose, leftOut int }

// String is the report in a few words.
func (r report) String() string {
	text := fmt.Sprintf("deployments: %d, incidents: %d", r.deployments, r.incidents)
	if r.loose > 0 {
		text += fmt.Sprintf(", without their service, which is not in the portal: %d", r.loose)
	}
	if r.leftOut > 0 {
		text += fmt.Sprintf(", left out: %d", r.leftOut)
	}
	return text
}

// Check implements sink.Checked. Beside what is there it tries, without a trace, whether the portal would take deployments of either status.
func (s *Sink) Check(ctx context.Context) error {
	var missing gaps
	for _, n := range s.needs() {
		s.schemas.forget(n.blueprint)
		_, err := s.schemas.ready(ctx, n)
		if gap, ok := errors.AsType[gaps](err); ok {
			missing = append(missing, gap...)
		} else if err != nil {
			return err
		}
	}
	if err := lacking(missing...); err != nil || s.o.Blueprints.Deployment == "" {
		return err
	}
	return s.rehearse(ctx)
}

func (s *Sink) needs() []need {
	b := s.o.Blueprints
	all := []need{
		{b.Deployment, DeploymentProperties(), s.deploymentRelations()},
		{b.Incident, IncidentProperties(), s.incidentRelations()},
		{b.Service, append(ServiceProperties(), found(s.o.ServiceBy)...), nil},
		{b.Team, append(TeamProperties(), found(s.o.TeamBy)...), nil},
		{b.PullRequest, found(MergeCommit), nil},
	}
	return slices.DeleteFunc(all, func(n need) bool { return n.blueprint == "" })
}

// found is a property by which entities are found.
func found(by string) []Property {
	if by == byIdentifier || by == byTitle {
		return nil
	}
	return []Property{{Name: by, Needed: true}}
}

// rehearse asks Port to validate deployments, and to keep none.
func (s *Sink) rehearse(ctx context.Context) error {
	blueprint := s.o.Blueprints.Deployment
	var items []*item
	for name, status := range map[string]string{"succeeded": s.o.Succeeded, "failed": s.o.Failed} {
		items = append(items, &item{entity: entity{
			Identifier: "dora-controller-check-" + name,
			Title:      "dora-controller check",
			Properties: map[string]any{
				"createdAt": moments(s.client.now()), environmentName: s.environment(s.o.MetricsEnvironment), "deploymentStatus": status,
			},
		}})
	}
	query := upserting()
	query.Set("validation_only", "true")
	var answer bulkAnswer
	if err := s.client.Do(ctx, http.MethodPost, bulkPath(blueprint), query, bulkOf(items), &answer); err != nil {
		return err
	}
	for _, err := range s.verdicts(answer, len(items)) {
		if err != nil {
			return fmt.Errorf("the portal would not take a deployment: %w", err)
		}
	}
	return nil
}
