"""Register a folder of features in a new registry of Feast, for its Python: `read_feast_repo.py FOLDER`.

Prints one JSON object: of each view its keys, its time, its query and its fields.
"""

import json
import sys
import tempfile
from pathlib import Path

from feast import FeatureStore, RepoConfig
from feast.repo_operations import parse_repo

sys.path.insert(0, sys.argv[1])  # as `feast apply` does
repo = parse_repo(Path(sys.argv[1]))
with tempfile.TemporaryDirectory() as home:
    config = RepoConfig(
        project="test",
        registry=f"{home}/registry.db",
        provider="local",
        offline_store={"type": "spark"},
        online_store=None,
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    store.apply([*repo.entities, *repo.feature_views])
    print(
        json.dumps(
            {
                view.name: {
                    "keys": [store.get_entity(name).join_key for name in view.entities],
                    "time": view.batch_source.timestamp_field,
                    "query": view.batch_source.query,
                    "fields": {f.name: str(f.dtype) for f in view.features},
                }
                for view in store.list_feature_views()
            }
        )
    )
