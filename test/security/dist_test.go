package security_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// compiler stands in the way of `go`: what a release is built of takes minutes to compile, and what is asked here is what goes beside it.
const compiler = `#!/usr/bin/env bash
out=
for ((i = 1; i <= $#; i++)); do
  [[ ${!i} == -o ]] && next=$((i + 1)) && out=${!next}
done
case $1-${!#} in
  build-./cmd/*) echo "${!#} for $GOOS" >"$out" ;;
  *) exec "$REAL_GO" "$@" ;;
esac
`

// dist runs hack/dist.sh with that compiler, and returns what it says.
func dist(t *testing.T, out string, without ...string) (string, error) {
	t.Helper()
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	genuine, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(folder) // one that cannot be read has nothing to run
		for _, entry := range entries {
			if name := entry.Name(); name != "go" && !slices.Contains(without, name) {
				_ = os.Symlink(filepath.Join(folder, name), filepath.Join(programs, name)) // the first of a name holds
			}
		}
	}
	if err := os.WriteFile(filepath.Join(programs, "go"), []byte(compiler), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", filepath.Join(repository, "hack", "dist.sh"), out, "v1.2.3")
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "PATH=") }),
		"PATH="+programs, "REAL_GO="+genuine, "SOURCE_DATE_EPOCH=1700000000")
	said, err := cmd.CombinedOutput()
	return string(said), err
}

func TestAReleaseWithoutAllOfItFails(t *testing.T) {
	out := filepath.Join(t.TempDir(), "dist")
	said, err := dist(t, out, "zip")
	if err == nil || !strings.Contains(said, "zip is missing, which makes the archive for windows: install it") {
		t.Errorf("got %v: %s", err, said)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a release is there: %v", err)
	}
}

// module is the head of a text.
var module = regexp.MustCompile(`(?m)^={80}\n(\S+) (v\S+), `)

func TestEachArchiveHasTheTextsOfLicences(t *testing.T) {
	out := filepath.Join(t.TempDir(), "dist")
	if said, err := dist(t, out); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	texts := read(t, filepath.Join(out, "third-party-licences.txt"))
	has := map[string]bool{}
	for _, m := range module.FindAllStringSubmatch(texts, -1) {
		has["| "+m[1]+" | "+m[2]+" |"] = true
	}
	for _, row := range regexp.MustCompile(`(?m)^\| \S+ \| v\d\S* \|`).FindAllString(read(t, root+"/THIRD_PARTY_LICENSES.md"), -1) {
		if !has[row] {
			t.Errorf("%s is listed, and has no text", row)
		}
	}
	for _, part := range []string{"the standard library of Go, LICENSE\n\nCopyright", "k8s.io/client-go v", "Apache License"} {
		if !strings.Contains(texts, part) {
			t.Errorf("the texts have no %q", part)
		}
	}
	archives, err := filepath.Glob(filepath.Join(out, "*_*_*"))
	if err != nil || len(archives) != 9 {
		t.Fatalf("the archives are %q (%v)", archives, err)
	}
	for _, archive := range archives {
		files := unpack(t, archive)
		program := strings.TrimSuffix(strings.SplitN(filepath.Base(archive), "_", 2)[0], ".exe")
		if files["third-party-licences.txt"] != texts || files["LICENSE"] != read(t, root+"/LICENSE") || files["THIRD_PARTY_LICENSES.md"] == "" {
			t.Errorf("%s has no texts of licences", archive)
		}
		if files[program] == "" && files[program+".exe"] == "" || len(files) != 4 {
			t.Errorf("%s has %d files, and not the program and three texts", archive, len(files))
		}
	}
	manifestIsWhole(t, out)
}

// unpack are the files of an archive.
func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	files := map[string]string{}
	take := func(name string, from io.Reader, err error) {
		text, problem := io.ReadAll(from)
		if err = errors.Join(err, problem); err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = string(text)
	}
	data := []byte(read(t, path))
	if strings.HasSuffix(path, ".zip") {
		archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.File {
			content, err := f.Open()
			take(f.Name, content, err)
		}
		return files
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return files
		case err != nil:
			t.Fatal(err)
		case header.Typeflag == tar.TypeReg:
			take(header.Name, archive, nil)
		}
	}
}

// manifestIsWhole: krew installs what has the sum that the manifest names.
func manifestIsWhole(t *testing.T, out string) {
	t.Helper()
	var manifest struct {
		Spec struct {
			Version   string
			Platforms []struct{ URI, SHA256 string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(out, "dora.yaml"))), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Spec.Version != "v1.2.3" || len(manifest.Spec.Platforms) != 5 {
		t.Errorf("the manifest is of %q, with %d platforms", manifest.Spec.Version, len(manifest.Spec.Platforms))
	}
	for _, p := range manifest.Spec.Platforms {
		sum := sha256.Sum256([]byte(read(t, filepath.Join(out, filepath.Base(p.URI)))))
		if p.SHA256 != hex.EncodeToString(sum[:]) || !strings.Contains(p.URI, "/v1.2.3/") {
			t.Errorf("%s has the sum %s in the manifest", p.URI, p.SHA256)
		}
	}
}

// TestATagIsReleasedFromMainOnly runs the step of the workflow in a repository that has a tag on main and one beside it.
func TestATagIsReleasedFromMainOnly(t *testing.T) {
	var w workflow
	if err := yaml.Unmarshal([]byte(read(t, root+"/.github/workflows/release.yaml")), &w); err != nil {
		t.Fatal(err)
	}
	steps := w.Jobs["tag"].Steps
	script := steps[len(steps)-1].Run
	work := t.TempDir()
	bash := func(script string, env ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", script)
		cmd.Dir, cmd.Env = work, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + work}, env...)
		said, err := cmd.CombinedOutput()
		return string(said), err
	}
	said, err := bash(`git init -q -b main origin && cd origin && git config user.email a@example.com && git config user.name a
		git commit -q --allow-empty -m one && git tag v1.0.0 && git tag v1 && git checkout -q -b side && git commit -q --allow-empty -m two && git tag v1.0.1
		git checkout -q main && git commit -q --allow-empty -m three && git tag -a v1.1.0-rc.1 -m three && cd .. && git clone -q origin .clone && mv .clone/.git .git`)
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for tag, want := range map[string]string{"v1.0.0": "", "v1.1.0-rc.1": "", "v1.0.1": "v1.0.1 is not on main", "v1": "v1 is no version such as v1.2.3"} {
		said, err := bash(script, "TAG="+tag)
		if (err == nil) != (want == "") || !strings.Contains(said, want) {
			t.Errorf("%s: %v: %s", tag, err, said)
		}
	}
	for name, job := range w.Jobs {
		if name != "tag" && job.Needs == nil {
			t.Errorf("job %s does not wait for the check of the tag", name)
		}
	}
}
