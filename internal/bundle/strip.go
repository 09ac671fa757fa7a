package bundle

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/dora-controller/dora-controller/internal/redact"
)

// valueless are annotations that repeat an object, values and all.
var valueless = []string{"kubectl.kubernetes.io/last-applied-configuration"}

// known are the annotations whose values are of use, and say nothing of what others keep there.
var known = regexp.MustCompile(`^(?:[a-z0-9.-]*(?:kubernetes\.io|k8s\.io|helm\.sh)|(?:mark\.)?dora-controller\.io)/`)

// strip is a copy of an object without what nobody needs and what may hold a credential.
func (b *Bundle) strip(o map[string]any) map[string]any {
	stripped, _ := b.stripped("", o).(map[string]any)
	if stripped["kind"] == "DoraSink" {
		shortened(stripped["spec"])
	}
	if metadata, ok := stripped["metadata"].(map[string]any); ok {
		delete(metadata, "managedFields")
		if annotations, ok := metadata["annotations"].(map[string]any); ok {
			for name := range annotations {
				if slices.Contains(valueless, name) {
					delete(annotations, name)
				} else if !known.MatchString(name) {
					annotations[name] = redact.Mark
				}
			}
		}
	}
	return stripped
}

// stripped copies a value that stands below a key.
func (b *Bundle) stripped(key string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		whole := maps.Clone(v)
		for name, inner := range v {
			whole[name] = b.stripped(name, inner)
		}
		return b.hashed(key, whole)
	case []any:
		whole := slices.Clone(v)
		for i, inner := range v {
			whole[i] = b.stripped(key, inner)
			if key == "env" {
				whole[i] = withoutValue(whole[i])
			}
		}
		if key == "args" || key == "command" {
			withoutCredentials(whole)
		}
		return whole
	case string:
		if isSecretName(key) {
			return b.Secret(v)
		}
	}
	return value
}

// withoutValue is a variable of the environment without its value.
func withoutValue(variable any) any {
	v, ok := variable.(map[string]any)
	if !ok {
		return variable
	}
	if _, plain := v["value"]; plain {
		v["value"] = redact.Mark
	}
	return v
}

// telling is a word among arguments behind which a credential stands.
var telling = regexp.MustCompile(`(?i)(?:password|passwd|passphrase|pass|secret|token|key|credential|auth)s?$`)

// withoutCredentials hides the values of arguments whose names tell that they are credentials, also where several are one text.
func withoutCredentials(words []any) {
	behind := false
	for i := range words {
		text, _ := words[i].(string)
		parts := strings.Fields(text)
		for at, part := range parts {
			if behind && !strings.HasPrefix(part, "-") {
				parts[at] = redact.Mark
			}
			behind = telling.MatchString(part)
			if name, _, set := strings.Cut(part, "="); set && telling.MatchString(name) {
				parts[at] = name + "=" + redact.Mark
			}
		}
		words[i] = strings.Join(parts, " ")
	}
}

// shortened hides the path and the query of each address below a sink's spec: by them some receivers know who posts.
func shortened(spec any) {
	fields, _ := spec.(map[string]any)
	for name, value := range fields {
		text, _ := value.(string)
		address, err := url.Parse(text)
		switch {
		case text == "" || err == nil && address.Host == "":
			shortened(value)
		case err != nil:
			fields[name] = redact.Mark
		case strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.Fragment != "":
			fields[name] = address.Scheme + "://" + address.Host + "/" + redact.Mark
		}
	}
}

// hashed hides the name in a reference to a Secret.
func (b *Bundle) hashed(key string, reference map[string]any) map[string]any {
	name, ok := reference["name"].(string)
	if ok && slices.Contains([]string{"secretRef", "secretKeyRef", "pullSecrets", "imagePullSecrets", "secret"}, key) {
		reference["name"] = b.Secret(name)
	}
	return reference
}

func isSecretName(key string) bool { return strings.EqualFold(key, "secretName") }
