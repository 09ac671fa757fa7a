package v1alpha1

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time such as 60s, 1h30m or 30d: days, hours, minutes and seconds in this order, whole
// numbers of at most five digits. A day is 24 hours.
//
// It is a string and not metav1.Duration, which knows no days and fails while the object is decoded: one object with a
// duration it cannot read would hide every object of the kind from the controller.
//
// +kubebuilder:validation:MaxLength=24
type Duration string

// The patterns are also in the CEL rules of the schema.
var (
	durationPattern = regexp.MustCompile(`^(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,5})s)?$`)
	decimalPattern  = regexp.MustCompile(`^\d{1,5}(\.\d{1,4})?$`)
	percentPattern  = regexp.MustCompile(`^(100|\d{1,2}(\.\d{1,2})?)%$`)

	worseningPattern = regexp.MustCompile(`^([1-9]\d{0,2})%$`)
)

// Parse reads the duration. Five digits of every unit still fit into a time.Duration.
func (d Duration) Parse() (time.Duration, error) {
	groups := durationPattern.FindStringSubmatch(string(d))
	if groups == nil || d == "" {
		return 0, fmt.Errorf("%q is no duration: write days, hours, minutes and seconds in this order, such as 1h30m or 30d", string(d))
	}

	var sum time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi("0" + groups[i+1])
		sum += time.Duration(n) * unit
	}
	return sum, nil
}

// Decimal is a number that is not negative, such as "0.25", kept as text so that every reader sees the same digits.
//
// +kubebuilder:validation:MaxLength=16
// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,5}([.][0-9]{1,4})?$')",message="write a decimal number in quotes, such as \"7\" or \"0.25\""
type Decimal string

// Parse reads the number.
func (d Decimal) Parse() (float64, error) {
	if !decimalPattern.MatchString(string(d)) {
		return 0, fmt.Errorf("%q is no decimal number: write one such as \"7\" or \"0.25\"", string(d))
	}
	return strconv.ParseFloat(string(d), 64)
}

// DecimalOf writes a number with at most that many places (four at most), without trailing zeros. What a Decimal
// cannot hold, a negative or an infinite number, is not known.
func DecimalOf(number float64, places int) Decimal {
	if math.IsNaN(number) || number < 0 || number > 99999 {
		return ""
	}
	text := strconv.FormatFloat(number, 'f', min(max(places, 0), 4), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return Decimal(text)
}

// Percent is a percentage from 0% to 100%, such as 5% or 2.5%.
//
// +kubebuilder:validation:MaxLength=8
// +kubebuilder:validation:XValidation:rule="self.matches('^(100|[0-9]{1,2}([.][0-9]{1,2})?)%$')",message="write a percentage from 0% to 100%, such as 5% or 2.5%"
type Percent string

// Parse reads the percentage as a fraction: 5% is 0.05.
func (p Percent) Parse() (float64, error) {
	if !percentPattern.MatchString(string(p)) {
		return 0, fmt.Errorf("%q is no percentage: write one from 0%% to 100%%, such as 5%% or 2.5%%", string(p))
	}
	number, err := strconv.ParseFloat(strings.TrimSuffix(string(p), "%"), 64)
	return number / 100, err
}

// Parse reads the percentage as a fraction: 25% is 0.25. The empty one is DefaultWorsening.
func (w Worsening) Parse() (float64, error) {
	groups := worseningPattern.FindStringSubmatch(string(or(w, DefaultWorsening)))
	if groups == nil {
		return 0, fmt.Errorf("%q is no whole percentage: write one from 1%% to 999%%, such as 25%%", string(w))
	}
	number, err := strconv.Atoi(groups[1])
	return float64(number) / 100, err
}
