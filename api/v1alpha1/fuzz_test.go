package v1alpha1

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// A duration that is read is what Go reads, with days of 24 hours, and written in another way it is the same.
func FuzzDurationParse(f *testing.F) {
	for _, seed := range []string{"", "60s", "1d2h3m4s", "99999d99999h99999m99999s", "1h1d"} {
		f.Add(seed)
	}
	const longest = 99999 * (24*time.Hour + time.Hour + time.Minute + time.Second)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Duration(text).Parse()
		if err != nil {
			if !strings.Contains(err.Error(), strconv.Quote(text)) {
				t.Errorf("%q: the error does not say what is wrong: %v", text, err)
			}
			return
		}
		if got < 0 || got > longest {
			t.Errorf("%q is out of bounds: %v", text, got)
		}
		days, rest, found := strings.Cut(text, "d")
		if !found {
			days, rest = "0", text
		}
		n, err := strconv.Atoi(days)
		want, restErr := time.ParseDuration("0s" + rest)
		if err != nil || restErr != nil || got != want+time.Duration(n)*24*time.Hour {
			t.Errorf("%q is %v, and Go reads %v and %d days (%v, %v)", text, got, want, n, err, restErr)
		}
	})
}

// A number is written so that it can be read, and read as what it was. A percentage is the number before its sign, as a fraction.
func FuzzDecimal(f *testing.F) {
	f.Add("0.25", 2.5, 1)
	f.Add("99999.9999", 99999.0, 4)
	f.Add("100%", 1.0/3, 9)
	f.Add("1e3", math.Inf(1), -1)
	f.Add("007", 0.00005, 4)
	f.Fuzz(func(t *testing.T, text string, number float64, places int) {
		if got, err := Decimal(text).Parse(); err == nil {
			if want, err := strconv.ParseFloat(text, 64); err != nil || got != want || got < 0 || got >= 1e5 {
				t.Errorf("%q is %v, want %v, %v", text, got, want, err)
			}
		}
		if got, err := Percent(text).Parse(); err == nil {
			of, err := Decimal(strings.TrimSuffix(text, "%")).Parse()
			if err != nil || got < 0 || got > 1 || math.Abs(got*100-of) > 1e-9 {
				t.Errorf("%q is %v, of %v, %v", text, got, of, err)
			}
		}
		if got, err := Worsening(text).Parse(); err == nil && (got < 0.01 || got > 9.99) {
			t.Errorf("%q is %v", text, got)
		}
		written := DecimalOf(number, places)
		if written == "" {
			if number >= 0 && number <= 99999 {
				t.Errorf("%v cannot be written", number)
			}
			return
		}
		read, err := written.Parse()
		if unit := math.Pow10(-min(max(places, 0), 4)); err != nil || math.Abs(read-number) > unit/2+1e-9 {
			t.Errorf("%v with %d places is %q, which is read as %v, %v", number, places, written, read, err)
		}
		if again := DecimalOf(read, places); again != written {
			t.Errorf("%q becomes %q", written, again)
		}
	})
}

// Two specs of which the schema may know nothing: each is understood or refused, agrees with itself, and they differ in the same fields
// whichever is asked.
func FuzzTargetSpec(f *testing.F) {
	const whole = `{"applications":{"matchLabels":{"team":"shop"},"matchExpressions":[{"key":"env","operator":"In","values":["prod","live"]},` +
		`{"key":"canary","operator":"DoesNotExist"}]},"service":{"fromLabel":"app"},"degradedFor":"90s","window":"14d","changes":["Image","Config"],` +
		`"images":{"exclude":["*/envoy"]},"source":{"repository":{"url":"https://git.example.com/a/b"},"hosts":["b","a"],"time":"author"}}`
	f.Add([]byte(whole), []byte(`{"degradedFor":"1m30s","source":{"hosts":["a","b"]}}`), "cart", "app", "shop")
	f.Add([]byte(`{"failureWindow":"soon"}`), []byte(`{"failureWindow":"1h"}`), "", "", "")
	f.Add([]byte(`{"applications":{"matchExpressions":[{"key":"a","operator":"Near"}]}}`), []byte(`{"team":{"value":"x"}}`), "a", "team", "b")
	f.Fuzz(func(t *testing.T, rawOne, rawOther []byte, name, key, value string) {
		var one, other DoraTargetSpec
		if json.Unmarshal(rawOne, &one) != nil || json.Unmarshal(rawOther, &other) != nil {
			return
		}
		have := map[string]string{key: value}
		if differs := one.PolicyDiffers(again(t, one), name, have); len(differs) > 0 {
			t.Errorf("%s differs from itself in %v", rawOne, differs)
		}
		if a, b := one.PolicyDiffers(&other, name, have), other.PolicyDiffers(&one, name, have); !slices.Equal(a, b) {
			t.Errorf("they differ in %v, and in %v", a, b)
		}
		if read, err := one.Timings(); err == nil && min(read.DegradedFor, read.FailureWindow, read.VerdictTimeout, read.Window, read.StatusInterval) < 0 {
			t.Errorf("%s has the times %+v", rawOne, read)
		}
		if name != "" && one.ServiceOf(name, have) == "" || one.EnvironmentOf(have) == "" {
			t.Errorf("%s leaves %q without a name", rawOne, name)
		}
		selectsAlike(t, one.Applications, have)
	})
}

// again is a spec that was stored and read.
func again(t *testing.T, spec DoraTargetSpec) *DoraTargetSpec {
	t.Helper()
	stored, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var read DoraTargetSpec
	if err := json.Unmarshal(stored, &read); err != nil {
		t.Fatal(err)
	}
	return &read
}

// selectsAlike: in which order a selector's demands stand says nothing.
func selectsAlike(t *testing.T, s *SubjectSelector, have map[string]string) {
	t.Helper()
	selector, err := s.LabelSelector()
	if s == nil || err != nil {
		return
	}
	turned := s.DeepCopy()
	slices.Reverse(turned.MatchExpressions)
	reversed, err := turned.LabelSelector()
	if err != nil || reversed.Matches(labels.Set(have)) != selector.Matches(labels.Set(have)) {
		t.Errorf("%v selects other objects than %v, %v", selector, reversed, err)
	}
}
