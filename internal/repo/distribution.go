package repo

// Distribution is an operating system, or a stand-in for one such as
// "python", with the releases that packages can be pushed to.
type Distribution struct {
	IndexName   string // "ubuntu": the word used in URLs
	DisplayName string // "Ubuntu"
	// Keys are the lists of distributions.json that show it: "deb" and "dsc"
	// for a Debian derivative, "rpm", "py" ...
	Keys     []string
	Versions []Release
}

// Release is one version of a Distribution.
type Release struct {
	ID          int64  // packagecloud's distro_version_id, a global constant
	IndexName   string // "jammy", "9"
	DisplayName string // "22.04 LTS Jammy Jellyfish"
	Number      string // "22.04"; "" where there is none
}

// DistroVersion names one release of one distribution where a package is
// listed.
type DistroVersion struct {
	ID      int64
	OS      string // Distribution.IndexName
	Version string // Release.IndexName
	Format  string // the format.Format that publishes it: "deb", "rpm"
}

// String is "ubuntu/jammy", and "python" where there is but one version and it
// has no name.
func (v DistroVersion) String() string {
	if v.Version == "" {
		return v.OS
	}
	return v.OS + "/" + v.Version
}

// PathVersion is the version as it stands in paths of the API. That of Python,
// which has no name, is "1".
func (v DistroVersion) PathVersion() string {
	if v.Version == "" {
		return "1"
	}
	return v.Version
}

// Scope is what one publication covers: all documents of one distribution
// version of one repository.
type Scope struct {
	ID         int64
	Repository Repository
	Distro     DistroVersion
}
