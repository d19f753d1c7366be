package distro

// others has Alpine, and the stand-ins for the package types of languages and
// tools, which have no operating system.
var others = []entry{
	{os: "python", display: "Python", format: "py", releases: []release{
		{166, "", "Python", ""},
	}},
	{os: "java", display: "Java", format: "jar", releases: []release{
		{167, "maven2", "Maven 2", "2"},
	}},
	{os: "node", display: "Node.js", format: "node", releases: []release{
		{191, "1", "Node.js", "1"},
	}},
	{os: "alpine", display: "Alpine Linux", format: "alpine", releases: []release{
		{228, "v3.13", "3.13", "3.13"},
		{262, "v3.14", "3.14", "3.14"},
		{263, "v3.15", "3.15", "3.15"},
		{264, "v3.16", "3.16", "3.16"},
		{265, "v3.17", "3.17", "3.17"},
		{277, "v3.18", "3.18", "3.18"},
		{286, "v3.19", "3.19", "3.19"},
		{295, "v3.20", "3.20", "3.20"},
		{1018, "v3.21", "3.21", "3.21"},
		{1019, "v3.22", "3.22", "3.22"},
		{1020, "v3.23", "3.23", "3.23"},
	}},
	{os: "alpine_any", display: "Any Alpine distribution.", format: "alpine", releases: []release{
		{293, "alpine_any", "Any version.", ""},
	}},
	{os: "anyfile", display: "Anyfile", format: "anyfile", releases: []release{
		{230, "1", "v1", "1"},
	}},
	{os: "helm", display: "Helm", format: "helm", releases: []release{
		{241, "v1", "v1", "1"},
	}},
	{os: "terraform", display: "Terraform", format: "terraform", releases: []release{
		{289, "modules-v1", "modules-v1", "1"},
	}},
	{os: "huggingface", display: "Huggingface", format: "huggingface", releases: []release{
		{297, "models-v1", "models-v1", "1"},
		{298, "datasets-v1", "datasets-v1", "1"},
		{299, "spaces-v1", "spaces-v1", "1"},
	}},
}
