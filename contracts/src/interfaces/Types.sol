// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

enum SourceStatus {
    ACTIVE,
    INACTIVE
}

enum TaskStatus {
    NEW,
    ATTEMPTED,
    RESPONDED,
    CANCELED,
    EXPIRED,
    FINALIZED
}

enum ResponseStatus {
    SUBMITTED,
    CONFIRMED
}

enum DeliveryMethod {
    MANUAL_CONFIRMATION,
    FIRST_RESPONSE
}

/// @notice A service: amounts in wei, times in Unix seconds, durations in seconds.
struct SourceParams {
    address client;
    string imageMetadataUrl;
    uint8 imageEnvironments;
    uint256 minPayment;
    uint256 minAvailableLockup;
    uint256 maxExpiryDuration;
    bool privacyEnabled;
    string optionalParamsUrl;
    DeliveryMethod deliveryMethod;
    uint256 lastUpdateTime;
}

/// @notice One call of a source.
struct TaskParams {
    address source;
    string config;
    uint256 expiryTime;
    uint256 payment;
}

/// @notice One provider's answer and the price it asks.
struct ResponseParams {
    address task;
    address provider;
    string data;
    uint256 payment;
}
