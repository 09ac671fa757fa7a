package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap/zapcore"
)

// loggerName is what the names of all loggers begin with.
const loggerName = "dora-controller"

// areas are the loggers that have a level of their own: the first part of their names, after loggerName. docs/logs.md says what each tells.
var areas = []string{
	"application", "client", "commits", "controller-runtime", "dispatch", "dorareceiver", "dorasink", "doratarget", "events", "kinds", "leaderelection",
	"ledger", "libraries", "receivers", "rollout", "traces", "watchdog",
}

// logLevels is a flag that says how much is logged, of everything and of single areas. Given again it begins anew.
type logLevels struct {
	rest  *zapcore.Level // nil if it was not said
	areas map[string]zapcore.Level
}

// Set reads LEVEL and AREA=LEVEL, separated by commas.
func (l *logLevels) Set(text string) error {
	read := logLevels{areas: map[string]zapcore.Level{}}
	for part := range strings.SplitSeq(text, ",") {
		if err := read.add(strings.TrimSpace(part)); err != nil {
			return err
		}
	}
	*l = read
	return nil
}

func (l *logLevels) add(part string) error {
	area, word, single := strings.Cut(part, "=")
	if !single {
		area, word = "", part
	}
	level, err := parseLevel(word)
	if err != nil {
		return err
	}
	_, twice := l.areas[area]
	switch {
	case !single && l.rest != nil:
		return errors.New("two levels are for everything: say one, and AREA=LEVEL for single areas")
	case !single:
		l.rest = &level
	case !slices.Contains(areas, area):
		return fmt.Errorf("there is no area %q: use %s", area, strings.Join(areas, ", "))
	case twice:
		return fmt.Errorf("area %s has two levels: say one", area)
	default:
		l.areas[area] = level
	}
	return nil
}

// mostVerbose is the highest number that a level may be.
const mostVerbose = 9

// parseLevel reads a level as logr counts them: a number is how much more than info is told.
func parseLevel(word string) (zapcore.Level, error) {
	switch word {
	case "error":
		return zapcore.ErrorLevel, nil
	case "info":
		return zapcore.InfoLevel, nil
	case "debug":
		return zapcore.DebugLevel, nil
	}
	if n, err := strconv.Atoi(word); err == nil && n >= 1 && n <= mostVerbose {
		return zapcore.Level(-n), nil
	}
	return 0, fmt.Errorf("%q is no level: use debug, info, error, or a number from 1, which is debug, to %d, which is all", word, mostVerbose)
}

// String writes it so that it can be given again.
func (l *logLevels) String() string {
	var parts []string
	if l.rest != nil {
		parts = append(parts, levelName(*l.rest))
	}
	for _, area := range slices.Sorted(maps.Keys(l.areas)) {
		parts = append(parts, area+"="+levelName(l.areas[area]))
	}
	return strings.Join(parts, ",")
}

func levelName(level zapcore.Level) string {
	if level < zapcore.DebugLevel {
		return strconv.Itoa(-int(level))
	}
	return level.String()
}

// Type implements pflag.Value.
func (*logLevels) Type() string { return "levels" }

// orElse completes what was not said.
func (l *logLevels) orElse(development bool) *logLevels {
	rest := zapcore.InfoLevel
	if development {
		rest = zapcore.DebugLevel
	}
	if l.rest != nil {
		rest = *l.rest
	}
	return &logLevels{rest: &rest, areas: l.areas}
}

// most is the level of whoever says most.
func (l *logLevels) most() zapcore.Level {
	return slices.Min(slices.AppendSeq([]zapcore.Level{*l.rest}, maps.Values(l.areas)))
}

// of is the level of a logger, by its name.
func (l *logLevels) of(logger string) zapcore.Level {
	area, _, _ := strings.Cut(strings.TrimPrefix(logger, loggerName+"."), ".")
	if level, single := l.areas[area]; single {
		return level
	}
	return *l.rest
}

func (l *logLevels) filter(core zapcore.Core) zapcore.Core { return &filtered{core, l} }

// filtered passes on what its logger's area is to say.
type filtered struct {
	zapcore.Core

	levels *logLevels
}

// Check implements zapcore.Core.
func (f *filtered) Check(entry zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !f.levels.of(entry.LoggerName).Enabled(entry.Level) {
		return to
	}
	return f.Core.Check(entry, to)
}

// With implements zapcore.Core.
func (f *filtered) With(fields []zapcore.Field) zapcore.Core {
	return &filtered{f.Core.With(fields), f.levels}
}
