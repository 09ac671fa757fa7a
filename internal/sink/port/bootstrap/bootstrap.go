// Package bootstrap makes a portal of Port ready for the sink of package port: blueprints with the properties that the sink writes,
// scorecards of the tiers, and a page that shows them.
//
// Plan reads what is there and says what is missing; Apply makes that, and nothing else. What somebody has made is never replaced,
// changed or removed: a blueprint that is there gets the properties and relations that it lacks, a scorecard or page that is there
// stays as it is. What stands in the way, such as a property of another type, is a conflict: it is told with its mend and left alone.
//
// Apply can be run again at any time: after a failure it makes what is still missing, and once all is there the plan has nothing to do.
//
// How Port merges the body of a PATCH is not documented. So a blueprint is read again just before it is patched, and is sent all of its
// properties and relations with the missing ones among them: that is right whether Port merges or replaces.
package bootstrap

import (
	"context"
	"net/url"
)

// API is the part of a client of Port that is needed.
type API interface {
	// Do sends in as JSON to a path such as /v1/pages, with a query if there is one, and reads the JSON of the answer into out.
	// Either may be nil.
	Do(ctx context.Context, method, path string, query url.Values, in, out any) error
	// Missing says that an error of Do means that Port has not got what was asked for. Any server answers 404 to what it does not
	// know; only Port's own answer counts, or a wrong address would look like an empty portal.
	Missing(err error) bool
}

// None is the name of a blueprint that is left out.
const None = "-"

// Names are the identifiers of the portal's blueprints, as in spec.port.blueprints of a DoraSink. Those that are None are left out.
type Names struct {
	Deployment, Service, Team, Incident, PullRequest string
}

// DefaultNames are those of a DoraSink that names none.
func DefaultNames() Names {
	return Names{Deployment: "deployment", Service: "service", Team: "_team", Incident: "doraIncident", PullRequest: None}
}

// Options say what the sink will send, and what is wanted.
type Options struct {
	// Succeeded and Failed are the values of deploymentStatus.
	Succeeded, Failed string
	// Environments are the names of environments that will be sent, the one whose deployments the page shows first.
	Environments []string
	// WithoutPage leaves the page out.
	WithoutPage bool
}

// DefaultOptions are what a DoraSink sends that says nothing else.
func DefaultOptions() Options {
	return Options{Succeeded: "Success", Failed: "Failed", Environments: []string{"Production"}}
}

// Kind is what a step is about.
type Kind string

// The kinds of steps.
const (
	Blueprint Kind = "blueprint"
	Scorecard Kind = "scorecard"
	Page      Kind = "page"
)

// Action is what a step does.
type Action string

// The actions.
const (
	Create  Action = "create"  // it is not there
	Patch   Action = "patch"   // it lacks something
	Keep    Action = "none"    // it is there, and stays as it is
	Differs Action = "differs" // it is in the way, and somebody has to mend that
)

// Step is one thing that the portal needs.
type Step struct {
	Kind Kind
	// Name is its identifier; that of a scorecard stands behind that of its blueprint: service/dora_service_lead_time.
	Name   string
	Action Action
	// Additions say what will be made, a line each.
	Additions []string
	// Conflicts say what is in the way and how it is mended, a line each. A blueprint can have them and be patched too.
	Conflicts []string
	// Notes say what is not as usual, and does no harm.
	Notes []string

	path     string     // that the document is posted to, or patched at
	document any        // of a step that creates
	want     *blueprint // of one that patches
	options  Options
}

// Pending says whether there is something to do.
func (s *Step) Pending() bool { return s.Action == Create || s.Action == Patch }

func (s *Step) String() string { return string(s.Kind) + " " + s.Name }
