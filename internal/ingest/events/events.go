// Package events reads deployments and changes in the plain JSON that the field's guides describe, so that a CI job's curl is enough:
//
//	POST /events/deploy  service, occurred_at, success; and team, environment, commit_sha, repository, version, images, started_at,
//	                     first_commit_ts, is_rollback
//	POST /events/change  service, commit_sha, occurred_at; and team, environment, repository, first_commit_ts
//
// The sender is known by a bearer token. A report is known by the header Idempotency-Key, else by the field idempotency_key, else by its facts:
// the same facts are the same report. A key that is given is of its service and environment alone, and a report that contradicts the first one
// under it is refused. Times are in RFC 3339. Fields of other names are kept as they came.
package events

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Source is what reports of this driver are of.
const Source = "api"

// The paths at which the two kinds of reports are taken.
const (
	DeployPath = "/events/deploy"
	ChangePath = "/events/change"
)

// Driver reads what is posted to these paths.
type Driver struct{}

var _ ingest.Driver = Driver{}

// Verify implements ingest.Driver.
func (Driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	return ingest.VerifyCredentials(r, secret)
}

// Read implements ingest.Driver.
func (Driver) Read(r *ingest.Request) ([]ingest.Report, error) {
	read := readDeploy
	if r.Path == ChangePath {
		read = readChange
	}
	said, err := ingest.Decode[message](r.Body)
	if err != nil {
		return nil, err
	}
	if said.OccurredAt == "" && said.key(r) != "" {
		said.OccurredAt = r.Now.UTC().Format(time.RFC3339) // sent again it is known by its key
	}
	report, err := said.common(r)
	if err != nil {
		return nil, err
	}
	if err := read(&said, r, &report); err != nil {
		return nil, err
	}
	return []ingest.Report{ingest.Bounded(report)}, nil
}

// message is the JSON of both kinds of reports.
type message struct {
	IdempotencyKey string   `json:"idempotency_key"`
	Service        string   `json:"service"`
	Team           string   `json:"team"`
	Environment    string   `json:"environment"`
	Commit         string   `json:"commit_sha"`
	Repository     string   `json:"repository"`
	Version        string   `json:"version"`
	Images         []string `json:"images"`
	StartedAt      string   `json:"started_at"`
	FirstCommitAt  string   `json:"first_commit_ts"`
	OccurredAt     string   `json:"occurred_at"`
	Success        *bool    `json:"success"`
	IsRollback     bool     `json:"is_rollback"`
}

// ours are the names of its fields.
var ours = []string{
	"idempotency_key", "service", "team", "environment", "commit_sha", "repository", "version", "images", "started_at", "first_commit_ts", "occurred_at",
	"success", "is_rollback",
}

// common reads what both kinds have.
func (m *message) common(r *ingest.Request) (ingest.Report, error) {
	report := ingest.Report{Source: Source, Service: m.Service, Team: m.Team, Environment: m.Environment}
	for field, text := range map[string]string{
		"service": m.Service, "team": m.Team, "environment": m.Environment, "repository": m.Repository, "version": m.Version,
	} {
		if text == "" {
			continue
		}
		if _, err := ingest.Name(field, text); err != nil {
			return report, err
		}
	}
	if m.Commit != "" && !commit.MatchString(m.Commit) {
		return report, wrong("commit_sha", "must be the id of a commit, 7 to 64 hexadecimal digits")
	}
	var err error
	report.Given = m.key(r) != ""
	if report.Key, err = m.identify(r); err != nil {
		return report, err
	}
	report.Rest, err = rest(r.Body)
	return report, err
}

var commit = regexp.MustCompile(`^[0-9A-Fa-f]{7,64}$`)

// key is by what the sender says that it is known.
func (m *message) key(r *ingest.Request) string {
	return cmp.Or(r.Header.Get("Idempotency-Key"), m.IdempotencyKey)
}

// identify makes the key of a report. A deployment and a change may have been given the same.
func (m *message) identify(r *ingest.Request) (string, error) {
	kind := "deploy"
	if r.Path == ChangePath {
		kind = "change"
	}
	if given := m.key(r); given != "" {
		_, err := ingest.Name("idempotency_key", given)
		return kind + ":" + given, err
	}
	facts := []string{m.Service, m.Environment, strings.ToLower(m.Commit), m.Repository, m.Version, instant(m.OccurredAt)}
	text, err := json.Marshal(append(facts, m.Images...))
	digest := sha256.Sum256(text)
	return kind + ":sha256:" + hex.EncodeToString(digest[:]), err
}

// instant is a time as it is written in one way only.
func instant(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return text
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// rest is what a body has beside them.
func rest(body []byte) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, wrong("", "must be one object of JSON, whole and well formed")
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return slices.Contains(ours, name) })
	return ingest.Rest(all)
}

func readDeploy(m *message, r *ingest.Request, report *ingest.Report) error {
	if m.Success == nil {
		return wrong("success", "must be there: true or false")
	}
	at, first, err := m.times(r)
	if err != nil {
		return err
	}
	started, err := ingest.When("started_at", m.StartedAt)
	if err != nil {
		return err
	}
	if started.After(at) {
		return wrong("started_at", "must not be after occurred_at")
	}
	if len(m.Images) > 20 {
		return wrong("images", "must be 20 at most")
	}
	for _, image := range m.Images {
		if image == "" || len(image) > ingest.MaxKey || !ingest.Shows(image) {
			return wrong("images", "must be references of images, such as registry.example.com/shop/checkout:v1.42.0")
		}
	}
	report.Deployment = &ingest.Deployment{
		Commit: strings.ToLower(m.Commit), Repository: ingest.Repository(m.Repository), Version: m.Version, Images: m.Images,
		StartedAt: started, OccurredAt: at, FirstCommitAt: first, Success: *m.Success, IsRollback: m.IsRollback,
	}
	return nil
}

func readChange(m *message, r *ingest.Request, report *ingest.Report) error {
	if m.Commit == "" {
		return wrong("commit_sha", "must be there: the id of the commit, 7 to 64 hexadecimal digits")
	}
	at, first, err := m.times(r)
	report.Change = &ingest.Change{Commit: strings.ToLower(m.Commit), Repository: ingest.Repository(m.Repository), OccurredAt: at, FirstCommitAt: first}
	return err
}

// times reads when it happened, and when the first of its commits was made.
func (m *message) times(r *ingest.Request) (at, first time.Time, err error) {
	if at, err = ingest.When("occurred_at", m.OccurredAt); err != nil {
		return at, first, err
	}
	if at.IsZero() {
		return at, first, wrong("occurred_at", "must be there: a time such as 2006-01-02T15:04:05Z; or give an Idempotency-Key, and it is now")
	}
	if err := ingest.Past("occurred_at", at, r.Now); err != nil {
		return at, first, err
	}
	if first, err = ingest.When("first_commit_ts", m.FirstCommitAt); err != nil {
		return at, first, err
	}
	if first.After(at) {
		return at, first, wrong("first_commit_ts", "must not be after occurred_at")
	}
	return at, first, nil
}

func wrong(field, mend string) error { return &ingest.BadRequestError{Field: field, Mend: mend} }
