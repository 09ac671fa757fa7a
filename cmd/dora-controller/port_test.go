package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/port/porttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// newPortal is a portal as Port makes it, with a credential in the environment.
func newPortal(t *testing.T) *porttest.Server {
	t.Helper()
	server := porttest.New(t, "machine", sinktest.Secret("port"))
	server.PutBlueprint(`{"identifier": "_team", "title": "Team", "schema": {"properties": {"size": {"type": "number"}}}}`)
	t.Setenv(portClientID, server.ClientID)
	t.Setenv(portClientSecret, server.ClientSecret)
	return server
}

// writes are the requests since the last time this was asked that were no reading.
func writes(server *porttest.Server) int {
	return len(slices.DeleteFunc(server.Requests(), func(r porttest.Request) bool { return r.Method == http.MethodGet }))
}

// answering is a fault of one method and path, as often as anybody asks.
func answering(method, path string, status int) []porttest.Fault {
	code := strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_") // as in Port's not_found
	answer := porttest.Answered(status, `{"ok": false, "error": "`+code+`", "message": "not so"}`, nil)
	return slices.Repeat([]porttest.Fault{func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == method && r.URL.Path == path && answer(w, r)
	}}, 100)
}

// bootstrapPort runs the command, and looks that no secret shows.
func bootstrapPort(t *testing.T, flags ...string) result {
	t.Helper()
	got := runCommand(t, "", append([]string{"port", "bootstrap"}, flags...)...)
	NewWithT(t).Expect(strings.Contains(got.stdout+got.stderr, sinktest.Secret("port"))).To(BeFalse(), "a secret shows") // tokens hold it too
	return got
}

func TestPortBootstrap(t *testing.T) {
	g := NewWithT(t)
	portal := newPortal(t)

	planned := bootstrapPort(t, "--base-url", portal.URL, "--dry-run")
	g.Expect(planned.code).To(Equal(exitOK), planned.stderr)
	g.Expect(planned.stdout).To(ContainSubstring("blueprint deployment: to be created\n  + property basis (string)\n"))
	g.Expect(planned.stdout).To(HaveSuffix("12 to create, 1 to complete, 0 there; 0 in conflict, to be mended by hand\n"))
	g.Expect(writes(portal)).To(BeZero())

	made := bootstrapPort(t, "--base-url", portal.URL)
	g.Expect(made.code).To(Equal(exitOK), made.stderr)
	g.Expect(made.stdout).To(Equal(planned.stdout + "done\n"))
	g.Expect(writes(portal)).To(Equal(13))
	g.Expect(portal.Document("pages/dora_controller")).NotTo(BeNil())

	again := bootstrapPort(t, "--base-url", portal.URL)
	g.Expect(again.code).To(Equal(exitOK), again.stderr)
	g.Expect(again.stdout).To(HaveSuffix("0 to create, 0 to complete, 13 there; 0 in conflict, to be mended by hand\ndone\n"))
	g.Expect(writes(portal)).To(BeZero())
}

func TestPortBootstrapWithOtherNames(t *testing.T) {
	g := NewWithT(t)
	portal := newPortal(t)
	got := bootstrapPort(t, "--base-url", portal.URL, "--blueprints", "service=microservice,incident=-", "--status-succeeded", "Successful", "--without-page")
	g.Expect(got.code).To(Equal(exitOK), got.stderr)
	g.Expect(portal.Blueprint("microservice")).NotTo(BeNil())
	g.Expect(portal.Blueprint("doraIncident")).To(BeNil())
	g.Expect(portal.Document("pages/dora_controller")).To(BeNil())
	deployment, err := json.Marshal(portal.Blueprint("deployment"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(deployment)).To(And(ContainSubstring(`"Successful"`), ContainSubstring(`"target":"microservice"`)))
}

func TestPortBootstrapTellsConflicts(t *testing.T) {
	g := NewWithT(t)
	portal := newPortal(t)
	portal.PutBlueprint(`{"identifier": "deployment", "title": "Ours", "schema": {"properties": {"environment": {"type": "array"}}}}`)
	got := bootstrapPort(t, "--base-url", portal.URL)
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stdout).To(ContainSubstring("  ! property environment is of type array, and string is needed: "))
	g.Expect(got.stderr).To(Equal("error: 1 in conflict: mend what stands behind a ! above, and run this again\n"))
	g.Expect(portal.Document("pages/dora_controller")).NotTo(BeNil(), "all the rest is made")
}

func TestPortBootstrapFails(t *testing.T) {
	for name, tc := range map[string]struct {
		method, path string
		status       int
		want         string
	}{
		"an unknown credential": {
			http.MethodPost, "/v1/auth/access_token", 404, "cannot read the blueprint _team: no token was given: the destination answered 404 Not Found: not_found",
		},
		"no right to read": {
			http.MethodGet, "/v1/blueprints/service", 403, "cannot read the blueprint service: the destination answered 403 Forbidden",
		},
		"no right to make": {http.MethodPost, "/v1/blueprints", 403, "cannot create the blueprint service: the destination answered 403 Forbidden"},
		"a page that is not taken": {
			http.MethodPost, "/v1/pages", 422, "all the rest is made: leave the page out with --without-page, and make it by hand from --print-page",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			portal := newPortal(t)
			portal.Next(answering(tc.method, tc.path, tc.status)...)
			portal.NextToken(answering(tc.method, tc.path, tc.status)...)
			got := bootstrapPort(t, "--base-url", portal.URL)
			g.Expect(got.code).To(Equal(exitFailure))
			g.Expect(got.stderr).To(And(HavePrefix("error: "), ContainSubstring(tc.want)))
		})
	}
}

func TestPortBootstrapWithARefusedCredential(t *testing.T) {
	g := NewWithT(t)
	portal := newPortal(t)
	portal.Echo = true
	portal.ClientID = "another"
	got := bootstrapPort(t, "--base-url", portal.URL)
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stderr).To(HavePrefix("error: cannot read the blueprint _team: no token was given: the destination answered 401 Unauthorized"))
	g.Expect(got.stdout).To(BeEmpty())
}

// A server that knows nothing of Port answers 404 to everything, and is no empty portal.
func TestPortBootstrapAtAWrongAddress(t *testing.T) {
	g := NewWithT(t)
	newPortal(t)
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/auth/access_token" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"accessToken": "x", "expiresIn": 100, "tokenType": "Bearer"}`))
	}))
	t.Cleanup(stranger.Close)
	for _, address := range []string{stranger.URL, stranger.URL + "/elsewhere"} {
		got := bootstrapPort(t, "--base-url", address, "--dry-run")
		g.Expect(got.code).To(Equal(exitFailure))
		g.Expect(got.stderr).To(ContainSubstring("the destination answered 404 Not Found"))
		g.Expect(got.stdout).To(BeEmpty())
	}
}

func TestPortBootstrapWithoutCredential(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(portClientID, "")
	t.Setenv(portClientSecret, "")
	got := bootstrapPort(t)
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stderr).To(Equal("error: no credential of Port: set the environment variables PORT_CLIENT_ID and PORT_CLIENT_SECRET\n"))

	page := bootstrapPort(t, "--print-page", "--blueprints", "service=microservice")
	g.Expect(page.code).To(Equal(exitOK), page.stderr)
	g.Expect(json.Valid([]byte(page.stdout))).To(BeTrue())
	g.Expect(page.stdout).To(ContainSubstring(`"blueprint": "microservice"`))
}

func TestWrongCommandLinesOfPort(t *testing.T) {
	for name, tc := range map[string]struct {
		flags []string
		want  string
	}{
		"an argument":            {[]string{"now"}, "unknown command"},
		"an unknown flag":        {[]string{"--client-secret", "x"}, "unknown flag: --client-secret"},
		"a region that is none":  {[]string{"--region", "DE"}, `"DE" is no region of Port: want EU or US`},
		"two addresses":          {[]string{"--region", "US", "--base-url", "https://api.example.com"}, "--base-url is instead of --region"},
		"a page and a dry run":   {[]string{"--print-page", "--dry-run"}, "--print-page prints the page and does nothing else"},
		"a kind that is none":    {[]string{"--blueprints", "services=x"}, `--blueprints has no "services": want deployment, incident, pullRequest, service, team`},
		"no name":                {[]string{"--blueprints", "service="}, `"" cannot be the identifier of a blueprint`},
		"a name with a space":    {[]string{"--blueprints", "service=a b"}, `"a b" cannot be the identifier of a blueprint`},
		"a way out":              {[]string{"--blueprints", "service=.."}, `".." cannot be the identifier of a blueprint`},
		"one name for two":       {[]string{"--blueprints", "service=deployment"}, "deployment and service cannot both be deployment"},
		"one word for two":       {[]string{"--status-failed", "Success"}, "must be two different words"},
		"an environment too few": {[]string{"--environments", ""}, "--environments must name at least one"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got := bootstrapPort(t, tc.flags...)
			g.Expect(got.code).To(Equal(exitUsage))
			g.Expect(got.stderr).To(ContainSubstring(tc.want))
			g.Expect(got.stderr).To(HaveSuffix("See 'dora-controller port bootstrap --help'.\n"))
		})
	}
	g := NewWithT(t)
	got := runCommand(t, "", "port", "bootstarp")
	g.Expect(got.code).To(Equal(exitUsage))
	g.Expect(got.stderr).To(HavePrefix(`error: "bootstarp" is no command of dora-controller; did you mean bootstrap?`))
	g.Expect(runCommand(t, "", "port").stdout).To(ContainSubstring("bootstrap   Make what a portal of Port needs"))
}
