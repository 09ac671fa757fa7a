// Package cli is what the project's command lines have in common: which errors are the caller's, what a flag with a choice takes, and which
// version a binary is of.
package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// UsageError is a command line that is wrong: another try with the same words cannot succeed.
type UsageError struct {
	// Command is the path of the command whose help tells more.
	Command string
	err     error
}

func (e *UsageError) Error() string { return e.err.Error() }

func (e *UsageError) Unwrap() error { return e.err }

// Usage makes an error one of the command line. No error stays none.
func Usage(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return &UsageError{cmd.CommandPath(), err}
}

// TellUsageErrors marks what cobra finds wrong with flags and arguments, also of the commands below.
func TellUsageErrors(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(Usage)
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error { return Usage(cmd, check(cmd, args)) }
	for _, below := range cmd.Commands() {
		TellUsageErrors(below)
	}
}

// UnknownCommand refuses a word that is no command, and names those that look like it.
func UnknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("%q is no command of %s", args[0], cmd.Root().DisplayName())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
}

// Choice is a flag that takes one of several words, in any case.
type Choice struct {
	Value   string
	Options []string
}

// Set implements pflag.Value.
func (c *Choice) Set(text string) error {
	i := slices.IndexFunc(c.Options, func(option string) bool { return strings.EqualFold(option, text) })
	if i < 0 {
		return fmt.Errorf("want %s", strings.Join(c.Options, " or "))
	}
	c.Value = c.Options[i]
	return nil
}

func (c *Choice) String() string { return c.Value }

// Type implements pflag.Value.
func (c *Choice) Type() string { return strings.Join(c.Options, "|") }
