package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// container is what the first process of one is told, as JSON on descriptor 3; 4 is the pod's network, 5 takes an error.
type container struct {
	Hostname, Folder, Dir            string
	Args, Env, Hidden                []string
	Mounts                           []mount
	Files                            map[string]string
	User, Group                      int
	Groups                           []int
	Privileged, NoNewPrivileges, Own bool
	Kept                             map[int]bool
	ReadOnly                         bool
}

// mount shows Source at Target, both of them folders or both files.
type mount struct {
	Source, Target string
	ReadOnly       bool
}

const formerRoot = "/.former"

// becomeContainer is process 1 of new namespaces: it builds its root, and turns into the container's command.
func becomeContainer() {
	runtime.LockOSThread()
	report := os.NewFile(5, "report")
	unix.CloseOnExec(5)
	var c container
	err := json.NewDecoder(os.NewFile(3, "spec")).Decode(&c)
	unix.Close(3)
	if err == nil {
		err = c.enter()
	}
	fmt.Fprint(report, err)
	os.Exit(128)
}

func (c *container) enter() error {
	if c.Own {
		if err := unix.Setns(4, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("network: %w", err)
		}
	}
	unix.Close(4)
	if err := firstOf(unix.Sethostname([]byte(c.Hostname)), c.buildRoot()); err != nil {
		return err
	}
	if err := os.Chdir(c.Dir); err != nil {
		return err
	}
	for _, pair := range c.Env {
		if len(pair) > 5 && pair[:5] == "PATH=" {
			os.Setenv("PATH", pair[5:])
		}
	}
	program, err := exec.LookPath(c.Args[0])
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	if err := c.dropRights(); err != nil {
		return fmt.Errorf("rights: %w", err)
	}
	return fmt.Errorf("exec %s: %w", program, syscall.Exec(program, c.Args, c.Env))
}

// buildRoot makes this machine's files the image: an overlay whose changes lie in memory, with an empty home.
func (c *container) buildRoot() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", c.Folder, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	root, upper, work := filepath.Join(c.Folder, "root"), filepath.Join(c.Folder, "upper"), filepath.Join(c.Folder, "work")
	for _, folder := range []string{root, upper, work} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
	}
	layers := fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", upper, work)
	if err := unix.Mount("overlay", root, "overlay", 0, layers); err != nil {
		return fmt.Errorf("overlay of /: %w", err)
	}
	former := filepath.Join(root, formerRoot)
	if err := firstOf(os.Mkdir(former, 0o700), unix.PivotRoot(root, former), os.Chdir("/"), c.furnish()); err != nil {
		return err
	}
	if err := firstOf(unix.Unmount(formerRoot, unix.MNT_DETACH), os.Remove(formerRoot)); err != nil {
		return err
	}
	if c.ReadOnly {
		return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	}
	return nil
}

// furnish mounts what lies in the new root; this machine's own is at formerRoot for that while.
func (c *container) furnish() error {
	modes := map[string]string{"/tmp": "1777", "/var/tmp": "1777", "/root": "700"}
	for _, name := range append([]string{"/root", "/home", "/tmp", "/run", "/var/tmp", "/mnt", "/media"}, c.Hidden...) {
		mode := modes[name]
		if mode == "" {
			mode = "755"
		}
		if _, err := os.Stat(name); err == nil {
			if err := unix.Mount("tmpfs", name, "tmpfs", 0, "mode="+mode); err != nil {
				return err
			}
		}
	}
	for name, text := range c.Files {
		os.Remove(name)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := c.special(); err != nil {
		return err
	}
	for _, each := range c.Mounts {
		if err := bind(filepath.Join(formerRoot, each.Source), each.Target, each.ReadOnly); err != nil {
			return fmt.Errorf("mount %s: %w", each.Target, err)
		}
	}
	return nil
}

func (c *container) special() error {
	if err := firstOf(
		unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, ""),
		unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV|unix.MS_RDONLY, ""),
	); err != nil {
		return fmt.Errorf("proc, sys: %w", err)
	}
	unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", unix.MS_RDONLY, "") // a machine may have none
	if c.Privileged {
		return unix.Mount(formerRoot+"/dev", "/dev", "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err := unix.Mount("tmpfs", "/dev", "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bind(formerRoot+"/dev/"+name, "/dev/"+name, false); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return err
		}
	}
	return firstOf(
		os.Mkdir("/dev/pts", 0o755),
		unix.Mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"),
		os.Mkdir("/dev/shm", 0o1777),
		unix.Mount("tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=64m"),
	)
}

func bind(source, target string, readOnly bool) error {
	seen, err := os.Stat(source)
	if err != nil {
		return err
	}
	if seen.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		var file *os.File
		if file, err = os.OpenFile(target, os.O_CREATE, 0o644); err == nil {
			file.Close()
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil || !readOnly {
		return err
	}
	return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

func (c *container) dropRights() error {
	if !c.Privileged {
		for right := 0; right <= unix.CAP_LAST_CAP; right++ {
			if !c.Kept[right] {
				if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(right), 0, 0, 0); err != nil && err != unix.EINVAL {
					return err
				}
			}
		}
	}
	if c.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	if c.User == 0 && c.Group == 0 && len(c.Groups) == 0 {
		return nil
	}
	return firstOf(syscall.Setgroups(c.Groups), syscall.Setgid(c.Group), syscall.Setuid(c.User))
}
