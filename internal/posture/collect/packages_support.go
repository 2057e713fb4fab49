package collect

import (
	"time"

	"github.com/castellan-project/castellan/internal/posture"
)

// supportSource names where the dates of the two tables below were taken from.
const supportSource = "castellan's table: debian.csv of distro-info-data 0.58+deb12u6; Proxmox VE documentation, FAQ, support table"

// debianSupport gives the end of support of a Debian release: regular security support and LTS (distro-info-data,
// columns eol and eol-lts).
func debianSupport(version string) (posture.Support, bool) {
	switch version {
	case "10":
		return support("Debian 10", "2022-09-10", "2024-06-30"), true
	case "11":
		return support("Debian 11", "2024-08-14", "2026-08-31"), true
	case "12":
		return support("Debian 12", "2026-07-11", "2028-06-30"), true
	case "13":
		return support("Debian 13", "2028-08-09", "2030-06-30"), true
	}
	return posture.Support{}, false
}

// pveSupport gives the end of support of a major release of Proxmox VE. The documentation names months: the last day
// of the month counts. For release 9 it gives no date yet.
func pveSupport(major string) (posture.Support, bool) {
	switch major {
	case "6":
		return support("Proxmox VE 6", "2022-09-30", "2022-09-30"), true
	case "7":
		return support("Proxmox VE 7", "2024-07-31", "2024-07-31"), true
	case "8":
		return support("Proxmox VE 8", "2026-08-31", "2026-08-31"), true
	case "9":
		return posture.Support{Release: "Proxmox VE 9"}, true
	}
	return posture.Support{}, false
}

// support fills a row; support lasts through the day named.
func support(release, end, longTerm string) posture.Support {
	day := func(s string) time.Time {
		t, err := time.Parse(time.DateOnly, s)
		if err != nil {
			return time.Time{}
		}
		return t.Add(24*time.Hour - time.Second)
	}
	return posture.Support{Release: release, Announced: true, End: day(end), LongTermEnd: day(longTerm)}
}
