external_url 'https://packages.example.com/repo/'
packagecloud_rails['data_directry'] = '/srv'
packagecloud_rails['index_worker_count'] = 4
data_directory '/srv'
packagecloud_rails['nothing_like_it'] = 1
packagecloud_rails['listen_address'] = 8080
packagecloud_rails['max_upload_size'] = '20 apples'
packagecloud_rails['index_grace_period'] = '1m'
packagecloud_rails['package_grace_period'] = 24
packagecloud_rails['signing_key_algorithm'] = 'dsa'
packagecloud_rails['log_level'] = 'loud'
packagecloud_rails['log_format'] = ['text']
packagecloud_rails['trusted_proxies'] = %w[10.0.0.0/8 proxy.example.com]
packagecloud_rails['tls_key_file'] = '/etc/tls.key'
packagecloud_rails['aws_access_key'] = "AKIA\n"
packagecloud_rails['aws_secret_key'] = 4711
packagecloud_rails['s3_bucket'] = 's3://packages'
packagecloud_rails['s3_endpoint'] = 's3.example.com'
packagecloud_rails['s3_path_style'] = 'maybe'
packagecloud_rails['cloudfront_secret'] = 'hunter2'
packagecloud_rails['cloudfront_distribution_id'] = 'arn:aws:cloudfront'
packagecloud_rails['cloudfront_packages_domain'] = 'https://d1.cloudfront.net'
packagecloud_rails['pid_file'] = '/run/' + 'pid'
packagecloud_rails['users_file'] = { 'a' => 1 }
resque['index_worker_count'] = 0
rainbows['worker_processes'] = -1
unicorn['worker_processes'] = 'many'
packagecloud_gpg['use_external_agent'] = true
nginx['listen_port'] = 80
packagecloud_rails['s3_bucket']['name'] = 'x'
packagecloud_rails['s3_signature_version'] = 3
packagecloud_rails['s3_public_endpoint'] = 'ftp://downloads.example.com'
