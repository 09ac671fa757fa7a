package bundle

import (
	"maps"
	"slices"
	"strings"

	"github.com/dora-controller/dora-controller/internal/redact"
)

// valueless are annotations that repeat an object, values and all.
var valueless = []string{"kubectl.kubernetes.io/last-applied-configuration"}

// strip is a copy of an object without what nobody needs and what may hold a credential.
func (b *Bundle) strip(o map[string]any) map[string]any {
	stripped, _ := b.stripped("", o).(map[string]any)
	if metadata, ok := stripped["metadata"].(map[string]any); ok {
		delete(metadata, "managedFields")
		if annotations, ok := metadata["annotations"].(map[string]any); ok {
			for _, name := range valueless {
				delete(annotations, name)
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

// hashed hides the name in a reference to a Secret.
func (b *Bundle) hashed(key string, reference map[string]any) map[string]any {
	name, ok := reference["name"].(string)
	if ok && slices.Contains([]string{"secretRef", "secretKeyRef", "pullSecrets", "imagePullSecrets", "secret"}, key) {
		reference["name"] = b.Secret(name)
	}
	return reference
}

func isSecretName(key string) bool { return strings.EqualFold(key, "secretName") }
