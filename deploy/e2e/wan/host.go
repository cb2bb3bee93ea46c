package wan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Host is a network namespace with one address.
type Host struct {
	Name, Site string
	Addr       netip.Addr

	tun  *os.File
	ns   int // file descriptor
	work chan func()
	done chan struct{}
}

const tunPath = "/dev/net/tun"

// newHost makes the namespace on a thread that is the host's from then on: what
// it starts lives in the namespace and dies with the thread.
func newHost(name, site string, prefix netip.Prefix) (*Host, error) {
	h := &Host{Name: name, Site: site, Addr: prefix.Addr(), work: make(chan func()), done: make(chan struct{})}
	made := make(chan error)
	go func() {
		defer close(h.done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := h.enter(prefix)
		made <- err
		if err != nil {
			return
		}
		for f := range h.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	return h, nil
}

func (h *Host) enter(prefix netip.Prefix) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a network namespace: %w; run the tests as root", err)
	}
	var err error
	if h.ns, err = unix.Open(threadNamespace(), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	if h.tun, err = openTUN(); err != nil {
		return err
	}
	control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(control)
	addr, mask := prefix.Addr().As4(), net.CIDRMask(prefix.Bits(), 32)
	return errors.Join(
		raise(control, "lo"),
		address(control, unix.SIOCSIFADDR, addr[:]),
		address(control, unix.SIOCSIFNETMASK, mask),
		raise(control, device),
	)
}

func threadNamespace() string { return "/proc/self/task/" + strconv.Itoa(unix.Gettid()) + "/ns/net" }

// device is the name of the interface in every namespace.
const device = "wan"

// openTUN makes the interface in the namespace of the calling thread.
func openTUN() (*os.File, error) {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; the kernel needs the tun driver (modprobe tun), and a container the device (--device %s)", tunPath, err, tunPath)
	}
	request, err := unix.NewIfreq(device)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("TUNSETIFF: %w; run the tests as root", err)
	}
	return os.NewFile(uintptr(fd), tunPath), nil
}

func address(control int, what uint, octets []byte) error {
	r, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := r.SetInet4Addr(octets); err != nil {
		return err
	}
	return unix.IoctlIfreq(control, what, r)
}

func raise(control int, name string) error {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(control, unix.SIOCGIFFLAGS, r); err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	r.SetUint16(r.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(control, unix.SIOCSIFFLAGS, r)
}

// Start starts a process on the host. It is killed when the host goes away.
func (h *Host) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	err := errors.New("the host is gone")
	h.on(func() { err = cmd.Start() })
	return err
}

// on runs f on the host's own thread.
func (h *Host) on(f func()) {
	ran := make(chan struct{})
	select {
	case h.work <- func() { f(); close(ran) }:
		<-ran
	case <-h.done:
	}
}

// Dial connects from the host to an address given in digits. What it returns may
// be used from anywhere.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	inside := h.within(func() { conn, err = new(net.Dialer).DialContext(ctx, network, address) })
	return conn, errors.Join(inside, err)
}

// Listen listens on the host.
func (h *Host) Listen(ctx context.Context, network, address string) (l net.Listener, err error) {
	inside := h.within(func() { l, err = new(net.ListenConfig).Listen(ctx, network, address) })
	return l, errors.Join(inside, err)
}

// within runs f in the namespace, on a thread of its own: other calls, and the
// start of processes, do not wait for a link that is cut.
func (h *Host) within(f func()) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is in the wrong namespace for anybody else
		if err := unix.Setns(h.ns, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the namespace of %s: %w", h.Name, err)
			return
		}
		f()
		done <- nil
	}()
	return <-done
}

func (h *Host) close() error {
	close(h.work)
	<-h.done
	return errors.Join(h.tun.Close(), unix.Close(h.ns))
}

// Possible says why hosts cannot be made on this machine; nil if they can.
func Possible() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root; run the tests as root")
	}
	if _, err := os.Stat(tunPath); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing; load the tun driver (modprobe tun), or give the container the device (--device %s)", tunPath, tunPath)
	}
	return nil
}
