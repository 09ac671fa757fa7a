package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/cli"
)

// moment is a flag that takes a time, or a length of time before now.
type moment struct {
	at     time.Time
	length time.Duration
	text   string
}

func (m *moment) Set(text string) error {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		*m = moment{at: at.UTC(), text: text}
		return nil
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		length, err = dorav1alpha1.Duration(text).Parse()
	}
	if err != nil || length <= 0 {
		return fmt.Errorf("%q is neither a time such as 2026-11-20T20:57:31Z nor a duration such as 90s, 12h or 30d", text)
	}
	*m = moment{length: length, text: text}
	return nil
}

func (m *moment) String() string { return m.text }

func (*moment) Type() string { return "time|duration" }

// before is the moment itself, or that long before now; zero if it is not set.
func (m *moment) before(now time.Time) time.Time {
	if m.length == 0 {
		return m.at
	}
	return now.Add(-m.length)
}

// The forms of output.
const (
	asTable    = "table"
	asJSON     = "json"
	asYAML     = "yaml"
	asCSV      = "csv"
	asMarkdown = "markdown"
	asHTML     = "html"
)

// addOutputFlag adds -o with these forms, of which the first is the default.
func addOutputFlag(cmd *cobra.Command, forms ...string) *cli.Choice {
	c := &cli.Choice{Value: forms[0], Options: forms}
	cmd.Flags().VarP(c, "output", "o", "how to print: "+strings.Join(forms, ", "))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)))
	return c
}
