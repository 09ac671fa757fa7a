package enrich

import (
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
)

func TestWhatIsAskedOfADeployment(t *testing.T) {
	for line, want := range map[string]struct {
		without commit.Reason
		image   string
	}{
		"10:00 web succeeded b over a":                   {"", "acme/shop:main-b"},
		"10:00 web failed b over a":                      {"", "acme/shop:main-b"}, // it may heal, and counts then
		"10:00 web unknown b over a":                     {"", "acme/shop:main-b"},
		"10:00 web succeeded b":                          {"", "acme/shop:main-b"},
		"10:00 web succeeded b over none":                {commit.FirstDeployment, "acme/shop:main-b"},
		"10:00 web returned a over b":                    {commit.Rollback, "acme/shop:main-a"},
		"10:00 web aborted b over a":                     {commit.Rollback, "acme/shop:main-b"},
		"10:00 web succeeded b+worker:a over a+worker:a": {"", "acme/shop:main-b"},
		"10:00 web succeeded a+worker:b over a+worker:a": {"", "acme/worker:main-b"},
		"10:00 web succeeded b+worker:b":                 {"", "acme/shop:main-b"}, // the one that the event names
	} {
		e := &history(t, line)[0]
		req := requestOf(e, &commit.Source{}, nil)
		if req.Without != want.without || req.Version.Image != want.image {
			t.Errorf("%s: without %q of %q, want %q of %q", line, req.Without, req.Version.Image, want.without, want.image)
		}
	}
}

func TestWhereNobodyKnowsWhichImageChangedNoneIsAskedAbout(t *testing.T) {
	e := &history(t, "10:00 web succeeded b+worker:b")[0]
	e.Version.Tag = ""
	if req := requestOf(e, &commit.Source{}, nil); req.Version.Image != "" {
		t.Errorf("asked about %s", req.Version.Image)
	}
	if req := requestOf(e, &commit.Source{Image: "*/worker"}, nil); req.Version.Image != "acme/worker:main-b" {
		t.Errorf("the target says which image carries the commit, asked about %q", req.Version.Image)
	}
}

func TestATargetSaysWhichImageCarriesTheCommit(t *testing.T) {
	e := &history(t, "10:00 web succeeded b+worker:b over a+worker:a")[0]
	for glob, want := range map[string]string{"": "acme/shop:main-b", "*/worker": "acme/worker:main-b", "*/envoy": ""} {
		if req := requestOf(e, &commit.Source{Image: glob}, nil); req.Version.Image != want {
			t.Errorf("%q: asked about %q, want %q", glob, req.Version.Image, want)
		}
	}
	var none dora.Event
	if req := requestOf(&none, &commit.Source{}, nil); req.Version.Image != "" {
		t.Error("an event without a version has an image")
	}
}
