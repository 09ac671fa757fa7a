package v1alpha1

import (
	"math"
	"testing"
	"time"
)

func TestDurationParse(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[Duration]time.Duration{
		"0s":                       0,
		"60s":                      time.Minute,
		"1h30m":                    90 * time.Minute,
		"30d":                      30 * day,
		"1d2h3m4s":                 day + 2*time.Hour + 3*time.Minute + 4*time.Second,
		"007m":                     7 * time.Minute,
		"90m90s":                   90*time.Minute + 90*time.Second,
		"99999d99999h99999m99999s": 99999 * (day + time.Hour + time.Minute + time.Second),
	} {
		got, err := text.Parse()
		if err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []Duration{"", "s", "5", "-1s", "1.5h", "1h 1m", "1m1h", "1h1h", "100000s", "1w", "1ms", "٣s", "1s\n"} {
		if got, err := text.Parse(); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestDecimal(t *testing.T) {
	for text, want := range map[Decimal]float64{"0": 0, "7": 7, "0.25": 0.25, "99999.9999": 99999.9999, "007": 7} {
		if got, err := text.Parse(); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []Decimal{"", "-1", "1e3", ".5", "1.", "0.00001", "123456", "NaN", "Inf", "0x1"} {
		if got, err := text.Parse(); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestDecimalOf(t *testing.T) {
	for _, tc := range []struct {
		number float64
		places int
		want   Decimal
	}{
		{0, 2, "0"},
		{100, 2, "100"},
		{1.0 / 3, 4, "0.3333"},
		{0.1163, 2, "0.12"},
		{9.999, 2, "10"},
		{0.00001, 4, "0"},
		{2.5, 9, "2.5"},
		{2.5, -1, "2"},
		{-1, 2, ""},
		{math.NaN(), 2, ""},
		{math.Inf(1), 2, ""},
	} {
		got := DecimalOf(tc.number, tc.places)
		if got != tc.want {
			t.Errorf("%v with %d places is %q, want %q", tc.number, tc.places, got, tc.want)
		}
		if _, err := got.Parse(); err != nil && got != "" {
			t.Errorf("%q cannot be read back: %v", got, err)
		}
	}
}

func TestPercentParse(t *testing.T) {
	for text, want := range map[Percent]float64{"0%": 0, "5%": 0.05, "2.5%": 0.025, "100%": 1, "99.99%": 0.9999} {
		if got, err := text.Parse(); err != nil || math.Abs(got-want) > 1e-12 {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []Percent{"", "5", "%", "101%", "100.1%", "-5%", "5.123%", "5 %"} {
		if got, err := text.Parse(); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestWorseningParse(t *testing.T) {
	for text, want := range map[Worsening]float64{"": 0.25, "1%": 0.01, "25%": 0.25, "100%": 1, "999%": 9.99} {
		if got, err := text.Parse(); err != nil || math.Abs(got-want) > 1e-12 {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []Worsening{"25", "%", "0%", "025%", "1000%", "-5%", "2.5%", "25 %"} {
		if got, err := text.Parse(); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}
