package kube

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// Source is a target's spec.source, understood.
type Source struct {
	spec  *dorav1alpha1.Source
	tags  *dora.TagPattern
	hosts []string
	// repository is the normalized spec.source.repository.url; empty if that is not what tells.
	repository string
}

// readSource understands a spec. The error names the field.
func readSource(spec *dorav1alpha1.Source) (*Source, error) {
	if spec == nil {
		return nil, nil //nolint:nilnil // there is none, and nothing is wrong with that
	}
	tags, err := dora.ParseTagPattern(spec.TagPattern)
	if err != nil {
		return nil, fmt.Errorf("spec.source.tagPattern: %w", err)
	}
	s := &Source{spec: spec, tags: tags}
	for _, host := range spec.Hosts {
		s.hosts = append(s.hosts, string(host))
	}
	if err := s.locate(); err != nil {
		return nil, err
	}
	return s, nil
}

// locate reads the address, as far as it is the same for all objects. Its host is the one that credentials may be sent to.
func (s *Source) locate() error {
	field, text := "url", s.spec.Repository.URL
	if text == "" {
		field, text = "template", placeholder.ReplaceAllString(s.spec.Repository.Template, "x")
	}
	if text == "" {
		return nil
	}
	address, err := commit.NormalizeURL(text)
	if err != nil {
		return fmt.Errorf("spec.source.repository.%s: %w", field, err)
	}
	if field == "url" {
		s.repository = address
	}
	host := commit.HostOf(address)
	if len(s.hosts) > 0 && host != "" && !slices.Contains(s.hosts, host) {
		return fmt.Errorf("spec.source.hosts: %s, the host of repository.%s, is not among them: add it, or leave hosts out", host, field)
	}
	if len(s.hosts) == 0 && host != "" {
		s.hosts = []string{host}
	}
	return nil
}

// placeholder is what repository.template and path may hold.
var placeholder = regexp.MustCompile(`\{([^{}.]*)(?:\.([^{}]*))?\}`)

// described is the object that placeholders speak of.
type described struct {
	name, namespace, service, image string
	labels                          map[string]string
}

var (
	errNoSuchPlaceholder = errors.New("there is no such placeholder")
	errNoSuchLabel       = errors.New("the object has no such label")
	errNoImage           = errors.New("no image of this version may carry the commit")
)

// part is what a placeholder may become: one part of a path. An image is named by whoever deploys it, and must not lead elsewhere.
var part = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// fill replaces the placeholders of a text. The error names the one that has no value.
func (d *described) fill(text string) (string, error) {
	var missing error
	filled := placeholder.ReplaceAllStringFunc(text, func(whole string) string {
		m := placeholder.FindStringSubmatch(whole)
		value, err := d.value(m[1], m[2])
		if err == nil && !part.MatchString(value) {
			err = fmt.Errorf("%q cannot be a part of an address", value)
		}
		if err != nil && missing == nil {
			missing = fmt.Errorf("%s: %w", whole, err)
		}
		return value
	})
	return filled, missing
}

func (d *described) value(kind, key string) (string, error) {
	if kind == "labels" {
		if value := d.labels[key]; value != "" {
			return value, nil
		}
		return "", errNoSuchLabel
	}
	repository, _, _ := dora.SplitImage(d.image)
	value, known := map[string]string{
		"name": d.name, "namespace": d.namespace, "service": d.service, "image": repository[strings.LastIndexByte(repository, '/')+1:],
	}[kind]
	switch {
	case !known || key != "":
		return "", errNoSuchPlaceholder
	case kind == "image" && value == "":
		return "", errNoImage
	}
	return value, nil
}

// sourced is the target whose source holds for the objects that these targets select: the oldest that has one. Nil if none has.
func (s Selection) sourced() *Target {
	for _, t := range s {
		if t.Source != nil {
			return t
		}
	}
	return nil
}

// commits is the source that holds for the objects that these targets select; an empty one if there is none.
func (s Selection) commits() *Source {
	if t := s.sourced(); t != nil {
		return t.Source
	}
	return &Source{spec: &dorav1alpha1.Source{}}
}
