package stand

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Process is a part of the stand: a program with its arguments, which may run or not.
type Process struct {
	// Name is what its log file is called.
	Name string
	// Path, Args and Env are what it is started with, each time. Env comes on top of this process's own.
	Path string
	Args []string
	Env  []string
	// Dir is its working directory.
	Dir string
	// Ready tells that it serves. Nil if nothing has to be waited for.
	Ready func(context.Context) error
	// Restart starts it again when it has ended by itself, as a kubelet does.
	Restart bool

	log string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
	cause error
	// wanted says that it should run.
	wanted bool
}

// patience is how long a part may take until it serves.
const patience = 2 * time.Minute

// Start starts the program and waits until it serves. One that runs is left alone.
func (p *Process) Start(ctx context.Context) error {
	if p.Running() {
		return nil
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot start %s: %w", p.Name, err)
	}
	cmd := exec.Command(p.Path, p.Args...) // without a context: Kill and Stop end it
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = out, out, p.Dir, append(os.Environ(), p.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := make(chan struct{})
	if err := spawn(cmd, func(err error) { p.over(out, ended, err) }); err != nil {
		return fmt.Errorf("cannot start %s: %w", p.Name, errors.Join(err, out.Close()))
	}
	p.mu.Lock()
	p.cmd, p.ended, p.cause, p.wanted = cmd, ended, nil, true
	p.mu.Unlock()
	if p.Ready == nil {
		return nil
	}
	return p.await(ctx)
}

func (p *Process) over(out *os.File, ended chan struct{}, err error) {
	p.mu.Lock()
	p.cause = errors.Join(err, out.Close())
	again := p.Restart && p.wanted
	p.mu.Unlock()
	close(ended)
	if !again {
		return
	}
	time.Sleep(time.Second)
	p.mu.Lock()
	again = p.wanted // it may have been stopped, or started, meanwhile
	p.mu.Unlock()
	if again {
		_ = p.Start(context.Background()) // whoever waits for it sees that it does not run
	}
}

// await waits until it serves, or has ended.
func (p *Process) await(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := Until(ctx, patience, p.Name+" does not serve", p.Ready)
	if err != nil && !p.Running() {
		return fmt.Errorf("%s ended: %w; see %s", p.Name, p.cause, p.log)
	}
	return err
}

// Running tells whether the program runs.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Signal sends one to it, such as to pause it.
func (p *Process) Signal(signal os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return os.ErrProcessDone
	}
	return p.cmd.Process.Signal(signal)
}

// Once has it not start again when it ends by itself.
func (p *Process) Once() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = false
}

// Log is the file that it writes to.
func (p *Process) Log() string { return p.log }

// Kill ends it as a lost power supply would.
func (p *Process) Kill() { p.end(syscall.SIGKILL, time.Minute) }

// Stop asks it to end, and kills it if it has not done so within half a minute.
func (p *Process) Stop() {
	p.end(syscall.SIGTERM, 30*time.Second)
	p.Kill()
}

func (p *Process) end(signal os.Signal, within time.Duration) {
	p.mu.Lock()
	p.wanted = false
	p.mu.Unlock()
	if !p.Running() {
		return
	}
	_ = p.cmd.Process.Signal(signal) // it may have ended meanwhile
	select {
	case <-p.ended:
	case <-time.After(within):
	}
}

// spawner starts all processes from one thread that never ends, since the kernel ends a child with the thread that made it.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

func spawn(cmd *exec.Cmd, over func(error)) error {
	started := make(chan error)
	spawner() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return err
	}
	go func() { over(cmd.Wait()) }()
	return nil
}

// answers tells that a plain URL answers 200.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answered %s", url, response.Status)
		}
		return nil
	}
}
