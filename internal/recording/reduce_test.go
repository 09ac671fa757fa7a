package recording

import (
	"encoding/json"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/argocd/lenient"
	"github.com/dora-controller/dora-controller/internal/replay"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// filler gives every field a value of its own, that a number has the form of too.
type filler int64

func (f *filler) next() int64 { *f++; return int64(*f) }

func (f *filler) fill(v reflect.Value) {
	switch v.Interface().(type) {
	case lenient.Time:
		v.Set(reflect.ValueOf(lenient.At(time.Unix(1e9+f.next(), 0))))
		return
	case metav1.TypeMeta, metav1.ObjectMeta:
		return
	}
	switch v.Kind() { //nolint:exhaustive // the types have no others
	case reflect.String:
		v.SetString(strconv.FormatInt(f.next(), 10))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(f.next())
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Struct:
		for _, field := range v.Fields() {
			f.fill(field)
		}
	default:
		panic("a field of kind " + v.Kind().String())
	}
}

// Whoever reads a further field of Argo's finds here that it is not recorded yet.
func TestEveryFieldThatIsReadIsRecorded(t *testing.T) {
	w := NewWriter(nil, Options{Messages: true})
	app, ro := &argocd.Application{}, &rollouts.Rollout{}
	new(filler).fill(reflect.ValueOf(app).Elem())
	new(filler).fill(reflect.ValueOf(ro).Elem())
	for kind, test := range map[string]struct {
		event replay.Event
		want  any
		got   func(replay.Event) any
	}{
		kindApplication: {replay.Event{Application: app}, app.DeepCopy(), func(e replay.Event) any { return e.Application }},
		kindRollout:     {replay.Event{Rollout: ro}, ro.DeepCopy(), func(e replay.Event) any { return e.Rollout }},
	} {
		t.Run(kind, func(t *testing.T) {
			raw, err := w.object(&test.event)
			if err != nil {
				t.Fatal(err)
			}
			back, err := decode(kind, raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, test.got(back), cmpopts.IgnoreTypes(metav1.TypeMeta{}, metav1.ObjectMeta{})); diff != "" {
				t.Errorf("(-read +recorded)\n%s", diff)
			}
		})
	}
}

// A redacted override of kustomize's is one that is read exactly if the original was.
func TestOverridesThatCannotBeReadAreNone(t *testing.T) {
	r := reducer{names: NewPseudonyms([]byte("a key of sixteen bytes"))}
	for override, want := range map[string]int{
		"web=registry.example.com/acme/web:v1": 1, "acme/web:v1": 1, "acme/web": 1, "web=acme/web:*": 0, "Acme/Web:v1": 0, "": 0,
	} {
		if got := r.overrides([]string{override}); len(got) != want {
			t.Errorf("%q has become %q", override, got)
		}
	}
	got := r.overrides([]string{"web=acme/web:v1"})
	if want := r.names.Image("web") + "=" + r.names.Image("acme/web:v1"); got[0] != want {
		t.Errorf("want %s, got %s", want, got[0])
	}
}

// What is needed of another's tracking id is that it is another's.
func TestATrackingIDStaysValidOrGoes(t *testing.T) {
	for name, test := range map[string]struct {
		id   string
		want bool
	}{
		"its own":                    {"web:argoproj.io/Rollout:prod/web", true},
		"of an app in a namespace":   {"team_web:argoproj.io/Rollout:prod/web", true},
		"a copy of another object's": {"web:argoproj.io/Rollout:prod/api", false},
		"nonsense":                   {"nonsense", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := reducer{names: NewPseudonyms([]byte("a key of sixteen bytes"))}
			ro := &rollouts.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web", Annotations: map[string]string{trackingID: test.id}}}
			before, _ := rollouts.Owner(ro)
			after, tracked := rollouts.Owner(r.rollout(ro))
			if tracked != test.want || after.Name != r.names.Name(before.Name) || after.Namespace != r.names.Name(before.Namespace) {
				t.Errorf("%v has become %v, %t", before, after, tracked)
			}
		})
	}
}

func TestCopyKeepsWhatIsSaidOfGaps(t *testing.T) {
	const app = `{"kind":"Application","metadata":{"uid":"u","name":"web"}}`
	const input = `{"seen":"2026-11-20T21:00:00Z","type":"ADDED","object":` + app + `}
{"seen":"2026-11-20T21:01:00Z","type":"BOOKMARK","object":{"kind":"Rollout"},"gap":{"kind":"Rollout","since":"2026-11-20T21:00:30Z"}}
{"seen":"2026-11-20T21:02:00Z","type":"MODIFIED","object":` + app + `}
{"seen":"2026-11-20T21:03:00Z","type":"BOOKMARK","object":{},"gap":{"kind":"AcmeLedger","since":"2026-11-20T21:02:30Z"}}
`
	var lines collected
	w := NewWriter(&lines, Options{})
	if err := Copy("input", []byte(input), w); err != nil {
		t.Fatal(err)
	}
	want := []string{"21:00:00 ADDED", "21:01:00 BOOKMARK Rollout since 21:00:30", "21:02:00 MODIFIED", "21:03:00 BOOKMARK  since 21:02:30"}
	if diff := cmp.Diff(want, lines.words(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := w.Summary().String(); got != "2 events of 1 object, with 2 gaps" {
		t.Errorf("got %s", got)
	}
}

// collected are lines, each of which was one write.
type collected []line

func (c *collected) Write(data []byte) (int, error) {
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return 0, err
	}
	*c = append(*c, l)
	return len(data), nil
}

func (c *collected) words(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, l := range *c {
		text := l.Seen.Format(time.TimeOnly) + " " + string(l.Type)
		if l.Gap != nil {
			text += " " + l.Gap.Kind + " since " + l.Gap.Since.Format(time.TimeOnly)
		}
		all = append(all, text)
	}
	return all
}

// Clocks go backwards now and then. Lines do not.
func TestWhoeverComesLaterWasSeenLater(t *testing.T) {
	var lines collected
	w := NewWriter(&lines, Options{})
	at := time.Date(2026, 11, 20, 21, 0, 0, 0, time.UTC)
	for _, seen := range []time.Time{at, at.Add(-time.Hour), at.Add(time.Second)} {
		if err := w.event(seen, replay.Added, "u", json.RawMessage(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"21:00:00 ADDED", "21:00:00 ADDED", "21:00:01 ADDED"}, lines.words(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
