package enrich

import (
	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// requestOf asks for the commits of a deployment. events are those of its service.
func requestOf(e *dora.Event, source *commit.Source, events []dora.Event) commit.Request {
	image := source.Carrier(e)
	req := commit.Request{Source: *source, Version: commit.Version{Image: image}, Without: without(e)}
	if image != "" && req.Without == "" {
		req.Earlier = Earlier(events, e, image)
	}
	return req
}

// without says why a deployment has no lead time, whatever its commits are.
func without(e *dora.Event) commit.Reason {
	switch {
	case e.IsRollback != nil && *e.IsRollback, e.Outcome == dora.RolledBack:
		return commit.Rollback
	case e.Previous.Known && e.Previous.Version == nil:
		return commit.FirstDeployment
	}
	return ""
}
