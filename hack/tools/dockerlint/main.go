// Command dockerlint checks Dockerfiles with BuildKit's own parser and linter, as
// `docker build --check` does, but without a daemon or a registry: base images are
// taken to exist, and nothing is asked about them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/subrequests/lint"
	"github.com/opencontainers/go-digest"
)

func main() {
	status := 0
	for _, name := range os.Args[1:] {
		found, err := check(context.Background(), name, os.Stderr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		if found || err != nil {
			status = 1
		}
	}
	os.Exit(status)
}

// check prints what is wrong with a Dockerfile and tells whether anything was.
func check(ctx context.Context, name string, out io.Writer) (bool, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	results, err := dockerfile2llb.DockerfileLint(ctx, text, dockerfile2llb.ConvertOpt{
		Config: dockerui.Config{
			// Docker hands these to every build.
			BuildArgs: map[string]string{"BUILDPLATFORM": "linux/amd64", "TARGETOS": "linux", "TARGETARCH": "amd64"},
		},
		SourceMap:    &llb.SourceMap{Definition: &llb.Definition{}, Filename: name, Language: "Dockerfile", Data: text},
		MetaResolver: images{},
	})
	if err != nil {
		return false, fmt.Errorf("cannot check %s: %w", name, err)
	}
	for _, warning := range results.Warnings {
		fmt.Fprintf(out, "%s:%d: %s: %s\n", name, line(warning), warning.RuleName, warning.Detail)
	}
	if results.Error != nil {
		fmt.Fprintf(out, "%s: %s\n", name, results.Error.Message)
	}
	return len(results.Warnings) > 0 || results.Error != nil, nil
}

func line(warning lint.Warning) int {
	if ranges := warning.Location.GetRanges(); len(ranges) > 0 {
		return int(ranges[0].GetStart().GetLine())
	}
	return 0
}

// images answers for every base image with an empty configuration.
type images struct{}

func (images) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, "", []byte(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`), nil
}
