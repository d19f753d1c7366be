package rpm

import (
	"cmp"
	"slices"
	"strconv"

	"packagecloud/internal/format"
)

// EntryPoints implements format.Format: a repomd.xml for each list, with the
// signature and the key that dnf and zypper fetch beside it. It depends on the
// documents of its list alone.
func (Format) EntryPoints(s format.Snapshot) (points []format.EntryPoint, err error) {
	for documents := range slices.Chunk(s.Documents, len(kinds)) {
		name := documents[0].Lists[0] + "/repodata/repomd.xml"
		body := repomd(documents)
		points = append(points,
			format.EntryPoint{Path: name, ContentType: "application/xml", Body: body},
			format.EntryPoint{Path: name + ".asc", ContentType: "application/pgp-signature", Body: body, Sign: format.DetachSigned, Pair: name},
			format.EntryPoint{Path: name + ".key", ContentType: "application/pgp-keys", Sign: format.PublicKey},
		)
	}
	return points, nil
}

func repomd(documents []format.Rendered) []byte {
	newest := slices.MaxFunc(documents, func(a, b format.Rendered) int { return cmp.Compare(a.ChangedAt.Unix(), b.ChangedAt.Unix()) })
	var x xml
	x.write(xmlHeader)
	x.write(`<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">` + "\n")
	x.element(2, "revision", strconv.FormatInt(newest.ChangedAt.Unix(), 10))
	for _, d := range documents {
		packed, plain := d.Forms[format.Gzip], d.Forms[format.Plain]
		x.open(2, "data", "type", d.Kind)
		x.write(">\n")
		x.element(4, "checksum", packed.SHA256, "type", "sha256")
		x.element(4, "open-checksum", plain.SHA256, "type", "sha256")
		x.element(4, "location", "", "href", "repodata/"+packed.SHA256+"-"+d.Kind+".xml.gz")
		x.element(4, "timestamp", strconv.FormatInt(d.ChangedAt.Unix(), 10))
		x.element(4, "size", strconv.FormatInt(packed.Size, 10))
		x.element(4, "open-size", strconv.FormatInt(plain.Size, 10))
		x.write("  </data>\n")
	}
	x.write("</repomd>\n")
	return x.text.Bytes()
}
