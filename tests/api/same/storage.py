import skyrig as sky

task = sky.Task(file_mounts={"~/x": "s3://b/x"}).set_storage_mounts(
    {
        "/data": sky.Storage(source="gs://public/set", mode="copy"),
        "/ckpt": sky.Storage(
            "my-bucket", stores=[sky.StoreType.S3], persistent=False, mode=sky.StorageMode.MOUNT_CACHED
        ),
    }
)
