"""Takes the schemas of one Kubernetes version out of a wheel of kubernetes-validate and makes them relative files, as
kubeconform reads them: kubernetes-schemas.py WHEEL VERSION FOLDER."""

import json
import pathlib
import sys
import zipfile

wheel, version, folder = sys.argv[1:]
out = pathlib.Path(folder)
out.mkdir(parents=True, exist_ok=True)
prefix = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict/"
count = 0
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if not name.startswith(prefix) or not name.endswith(".json"):
            continue
        # Their ids and references are addresses on the web, and would be fetched.
        text = archive.read(name).decode().replace('"/api/_definitions.json#', '"_definitions.json#')
        schema = json.loads(text)
        schema.pop("$id", None)
        (out / name.removeprefix(prefix)).write_text(json.dumps(schema))
        count += 1
if count == 0:
    sys.exit(f"{wheel} has no schemas of {version}")
