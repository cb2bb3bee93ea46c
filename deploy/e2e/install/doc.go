// Package install proves what a host needs beside the binary: the Debian package with
// its units, the container image, and a directory of three members.
//
//	TestPackage   dpkg installs, upgrades and removes it on a copy of this machine's root
//	TestImage     the Dockerfile's root, made without a container engine: nothing is in it
//	              but what COPY brings, and a node runs there, as the user and with the
//	              command that the file names, telling its service manager how it fares
//	TestMembers   etcd of three members, of which any one may go
package install
