// Package bundle makes support archives that can be given away: a tar.gz of text files, redacted, with a list of what is in it.
//
// Nothing gets into an archive but through Add, which redacts: what looks like a credential is replaced wherever it stands, in an address, a
// header, a key of YAML or JSON, or a word of its own (package redact). Objects go through Object, which takes out besides what is known to hold
// values that nobody needs: the environment of containers, managed fields, what kubectl applied last, the
// values of annotations that are not Kubernetes' own, of arguments with telling names, the paths and queries of sinks' addresses. With names
// hashed (Options.HashNames) the names of Secrets become hashes, the same in all files of one archive and others in the next. A Secret is refused.
//
// Redacting is a net below, not the reason why an archive is safe: that is that no Secret is ever read.
package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/dora-controller/dora-controller/internal/redact"
)

const (
	// maxFile is how much of one file is kept: its end, since that of a log is what counts.
	maxFile = 2 << 20
	// cut stands in front of what was kept of a longer file.
	cut = "(the beginning was cut off)\n"
)

// Options say how an archive is made.
type Options struct {
	// HashNames hashes the names of Secrets.
	HashNames bool
	// Made is when; it is in the name of the archive's folder, and the time of its files.
	Made time.Time
}

// Bundle is an archive that is being made.
type Bundle struct {
	options Options
	salt    []byte
	files   []file
	notes   []string
	secrets map[string]bool // the names that are hashed
}

type file struct {
	name    string
	content []byte
}

// Entry is a file of an archive.
type Entry struct {
	Name  string
	Bytes int
}

// New begins an archive.
func New(o Options) *Bundle {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	return &Bundle{options: o, salt: salt, secrets: map[string]bool{}}
}

// Add adds a text, redacted.
func (b *Bundle) Add(name, text string) {
	text = redact.Text(text) // all of it, since a cut may go through what tells that something is a credential
	if len(text) > maxFile {
		text = cut + text[len(text)-maxFile:]
	}
	b.files = append(b.files, file{path.Clean("/" + name)[1:], []byte(text)})
}

// Missing notes what is not in the archive, and why.
func (b *Bundle) Missing(what string, err error) {
	b.notes = append(b.notes, redact.Text(what+": "+strings.Join(strings.Fields(err.Error()), " ")))
}

// Objects adds objects of a cluster as one file of YAML.
func (b *Bundle) Objects(name string, objects ...map[string]any) error {
	var text strings.Builder
	for _, o := range objects {
		if kind, _ := o["kind"].(string); kind == "Secret" {
			return errors.New("a Secret has no place in an archive")
		}
		data, err := yaml.Marshal(b.strip(o))
		if err != nil {
			return fmt.Errorf("cannot write %s: %w", name, err)
		}
		text.WriteString("---\n")
		text.Write(data)
	}
	b.Add(name, text.String())
	return nil
}

// Entries are the files of the archive, in their order, the list among them.
func (b *Bundle) Entries() []Entry {
	var all []Entry
	for _, f := range b.complete() {
		all = append(all, Entry{f.name, len(f.content)})
	}
	return all
}

// Notes are what is missing.
func (b *Bundle) Notes() []string {
	hide, notes := b.hider(), slices.Clone(b.notes)
	for i, note := range notes {
		notes[i] = hide(note)
	}
	return notes
}

// Write writes the archive.
func (b *Bundle) Write(w io.Writer) error {
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	folder := "dora-bundle-" + b.options.Made.UTC().Format("20060102-150405")
	for _, f := range b.complete() {
		head := &tar.Header{Name: folder + "/" + f.name, Mode: 0o600, Size: int64(len(f.content)), ModTime: b.options.Made.UTC(), Format: tar.FormatPAX}
		if err := archive.WriteHeader(head); err != nil {
			return fmt.Errorf("cannot write the archive: %w", err)
		}
		if _, err := archive.Write(f.content); err != nil {
			return fmt.Errorf("cannot write the archive: %w", err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		return fmt.Errorf("cannot write the archive: %w", err)
	}
	return nil
}

// complete is the files, with the list of what is in the archive and what is not.
func (b *Bundle) complete() []file {
	var list bytes.Buffer
	fmt.Fprintf(&list, "Made %s. No Secret was read. Credentials that were recognised are replaced by %s.\n\n",
		b.options.Made.UTC().Format(time.RFC3339), redact.Mark)
	hide, files := b.hider(), slices.Clone(b.files)
	for i, f := range files {
		files[i].content = []byte(hide(string(f.content)))
	}
	for _, f := range files {
		fmt.Fprintf(&list, "%s   %d bytes\n", f.name, len(f.content))
	}
	for _, note := range b.Notes() {
		fmt.Fprintf(&list, "not in it: %s\n", note)
	}
	return append([]file{{"contents.txt", list.Bytes()}}, files...)
}

// hider hashes the names of Secrets in sentences, commands and errors, where they stand behind what says that they are one: a name alone may
// be any word.
func (b *Bundle) hider() func(string) string {
	if len(b.secrets) == 0 {
		return func(text string) string { return text }
	}
	names := slices.Sorted(maps.Keys(b.secrets))
	slices.Reverse(names) // longer ones before those that they begin with
	for i, name := range names {
		names[i] = regexp.QuoteMeta(name)
	}
	form := regexp.MustCompile(`((?i:\bsecrets?\s+\\?["']?)(?:[a-z0-9-]+/)?|--resource-name=|dora-controller-reads-)` +
		`(` + strings.Join(names, "|") + `)([^a-z0-9-]|\z)`)
	return func(text string) string {
		return form.ReplaceAllStringFunc(text, func(found string) string {
			parts := form.FindStringSubmatch(found)
			return parts[1] + b.Secret(parts[2]) + parts[3]
		})
	}
}

// Secret is the name of a Secret as the archive shows it, here and in every text of it.
func (b *Bundle) Secret(name string) string {
	if !b.options.HashNames || name == "" {
		return name
	}
	b.secrets[name] = true
	sum := sha256.Sum256(slices.Concat(b.salt, []byte(name)))
	return "secret-" + hex.EncodeToString(sum[:5])
}
